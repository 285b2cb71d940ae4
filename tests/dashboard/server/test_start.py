"""What the server says when it starts, and the settings that it is started with."""

import ast
import logging
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit import config

from dashboard.server import start
from dashboard.server.start import announce, one_host_check, urls
from tests.browser.server import ROOT

SETTINGS = Path(".streamlit/config.toml")
WARNING = "asks nobody to sign in"


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch):
    """Set where the server listens, and the [auth] settings."""
    monkeypatch.setattr(start, "own_names", lambda: ("lab7", "lab7.local"))

    def listen(address: str | None, sign_in: dict | None = None) -> None:
        values = {"server.address": address, "server.baseUrlPath": "vit", "browser.serverPort": 8502}
        secrets = SimpleNamespace(load_if_toml_exists=lambda: True, get={"auth": sign_in}.get)
        monkeypatch.setattr(config, "get_option", values.get)
        monkeypatch.setattr(start, "secrets_singleton", secrets)

    return listen


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost", ["http://localhost:8502/vit"]),
        ("::1", ["http://[::1]:8502/vit"]),
        ("192.168.1.5", ["http://192.168.1.5:8502/vit"]),
        ("0.0.0.0", ["http://localhost:8502/vit", "http://lab7:8502/vit"]),
        (None, ["http://localhost:8502/vit", "http://lab7:8502/vit"]),
    ],
)
def test_it_says_where_it_is(
    listen, caplog: pytest.LogCaptureFixture, address: str | None, expected: list[str]
) -> None:
    listen(address)
    assert urls() == expected
    announce()
    assert f"The dashboard is at {' and '.join(expected)}" in caplog.messages


@pytest.mark.parametrize(
    ("address", "sign_in", "warned"),
    [
        ("localhost", None, False),
        ("127.0.0.1", None, False),
        ("0.0.0.0", None, True),
        ("", None, True),
        ("192.168.1.5", None, True),
        ("lab7", {}, True),
        ("0.0.0.0", {"client_id": "1"}, False),
    ],
)
def test_it_warns_where_others_reach_it_and_nobody_signs_in(
    listen, caplog: pytest.LogCaptureFixture, address: str, sign_in: dict | None, warned: bool
) -> None:
    listen(address, sign_in)
    announce()
    assert any(WARNING in message and "VIT_DASHBOARD_ALLOWED_HOSTS" in message for message in caplog.messages) == warned
    assert all(record.levelno >= logging.WARNING for record in caplog.records), "lower ones are not shown"


def test_streamlits_own_check_of_hosts_passes_all_as_long_as_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is as it was afterwards: a server that has ended leaves nothing in its process."""
    name, parsed = "server.allowedHosts", []
    before = config.get_option(name)
    assert before != ["*"]
    monkeypatch.setattr(config, "on_config_parsed", lambda call, **_: parsed.append(call) or parsed.clear)
    with one_host_check():
        assert config.get_option(name) == ["*"]
        config.set_option(name, before)
        parsed[0]()
        assert config.get_option(name) == ["*"]
    assert config.get_option(name) == before
    assert parsed == []


def test_the_settings_are_for_this_machine_alone_and_ask_nobody() -> None:
    settings = tomllib.loads((ROOT / SETTINGS).read_text())
    assert settings["server"]["address"] == "localhost"
    assert settings["server"]["allowedHosts"] == ["localhost", "127.0.0.1", "::1"]
    assert settings["logger"]["hideWelcomeMessage"] is True
    assert settings["browser"]["gatherUsageStats"] is False


def test_the_settings_lie_beside_the_scripts_too() -> None:
    """Streamlit reads them in the folder where it is started, and in that of its script."""
    assert (ROOT / "dashboard" / SETTINGS).samefile(ROOT / SETTINGS)
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert ".streamlit/*" in package_data["dashboard"]


def test_no_page_relies_on_streamlits_magic() -> None:
    """Which writes every bare expression to the page, and is turned off."""
    settings = tomllib.loads((ROOT / SETTINGS).read_text())
    assert settings["runner"]["magicEnabled"] is False
    pages = [ROOT / "dashboard" / "app.py", *(ROOT / "dashboard" / "views").glob("*.py")]
    bare = [
        f"{page.name}:{node.lineno}"
        for page in pages
        for node in ast.walk(ast.parse(page.read_text()))
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call | ast.Constant)
    ]
    assert bare == []


def test_the_server_answers_before_the_heavy_imports() -> None:
    code = (
        "import sys, dashboard.serve; print({'torch', 'pandas', 'vit_engine', 'dashboard.services'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_an_upload_that_comes_while_the_engine_is_imported_waits_for_it() -> None:
    code = """
import sys, threading, dashboard.serve
from dashboard.server.uploads import bounds_of
begun = threading.Event()
class Finder:
    def find_spec(name, path, target=None): name == "torch" and begun.set()
sys.meta_path.insert(0, Finder)
def warm(): import dashboard.services.analyses
warming = threading.Thread(target=warm)
warming.start()
assert begun.wait(60)
print(bounds_of("a.png").kind)
warming.join()
print("dashboard.services.analyses" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["pictures", "True"], run.stderr
