"""Requests for foreign hosts and websockets of foreign pages do not reach the application."""

import pytest
from starlette.types import Scope
from streamlit import config

from dashboard.server import guard, hosts
from dashboard.server.guard import HostGuard
from tests.dashboard.server.asgi import Inner, answer, call, http_scope, text, websocket_scope

HERE = "localhost:8501"
WEBSOCKET_403 = [{"type": "websocket.close", "code": 1008, "reason": ""}]  # what servers send as HTTP 403


@pytest.fixture
def inner() -> Inner:
    return Inner(*answer())


def listed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(hosts.VARIABLE, value)


def opened(inner: Inner, *headers: tuple[str, str]) -> bool:
    """Whether a websocket's handshake reaches the application."""
    count = len(inner.scopes)
    sent = call(HostGuard(inner), websocket_scope(headers))
    assert (sent == WEBSOCKET_403) == (len(inner.scopes) == count)
    return len(inner.scopes) > count


def host_of(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"host"]


@pytest.mark.parametrize("path", ["/", "/compare", "/_stcore/health", "/media/a.png", "/static/js/a.js", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"])
def test_a_foreign_host_is_refused_on_every_route(inner: Inner, path: str, method: str) -> None:
    sent = call(HostGuard(inner), http_scope(path, method, headers=[("host", "evil.example:8501")]))
    assert sent[0]["status"] == 403
    assert "VIT_DASHBOARD_ALLOWED_HOSTS" in text(sent)
    assert inner.scopes == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", HERE), ("host", HERE)],
        [("host", HERE), ("host", "evil.example")],
        [("host", "evil.example"), ("x-forwarded-host", HERE)],
        [("host", "evil.example"), ("forwarded", f"host={HERE}")],
        [("x-forwarded-host", HERE)],
    ],
)
def test_one_host_header_is_needed_and_a_forwarded_one_is_not_read(
    inner: Inner, headers: list[tuple[str, str]]
) -> None:
    assert call(HostGuard(inner), http_scope(headers=headers))[0]["status"] == 403
    assert not opened(inner, *headers)


def test_what_is_allowed_is_passed_on_unchanged(inner: Inner) -> None:
    scope = http_scope("/compare", headers=[("host", HERE), ("origin", "http://evil.example")])
    assert call(HostGuard(inner), scope) == answer()
    assert inner.scopes == [scope]


def test_a_lifespan_has_no_host(inner: Inner) -> None:
    call(HostGuard(inner), {"type": "lifespan"})
    assert inner.scopes == [{"type": "lifespan"}]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, f"http://{HERE}"),
        ("LOCALHOST:8501", f"http://{HERE}"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost:443", "https://localhost"),
        ("[::1]:8501", "http://[::1]:8501"),
        (HERE, None),
    ],
)
def test_pages_of_this_server_and_programs_open_websockets(inner: Inner, host: str, origin: str | None) -> None:
    assert opened(inner, ("host", host), *([("origin", origin)] if origin else []))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "http://127.0.0.1:8501",
        "http://localhost:8501@evil.example",
        "http://evil.example/localhost:8501",
        "null",
        "",
        "file://",
        "chrome-extension://localhost:8501",
    ],
)
def test_pages_of_other_sites_do_not(inner: Inner, origin: str) -> None:
    assert not opened(inner, ("host", HERE), ("origin", origin))
    assert not opened(inner, ("host", HERE), ("origin", f"http://{HERE}"), ("origin", origin))


def test_a_listed_name_is_a_page_of_this_server_behind_a_proxy_that_changes_the_host(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(monkeypatch, "vit.example.org")
    assert opened(inner, ("host", HERE), ("origin", "https://vit.example.org"))
    assert host_of(inner.scopes[-1]) == [b"vit.example.org"], "Streamlit would look this machine's address up"
    assert not opened(inner, ("host", HERE), ("origin", "https://evil.example"))
    listed(monkeypatch, "*.forwarded.example")
    assert opened(inner, ("host", HERE), ("origin", "https://a-8501.forwarded.example"))
    assert not opened(inner, ("host", HERE), ("origin", "https://a-8501.forwarded.example@evil.example"))
    listed(monkeypatch, "*")
    assert not opened(inner, ("host", "vit.example.org"), ("origin", "https://evil.example"))
    listed(monkeypatch, "localhost 127.0.0.1")
    assert not opened(inner, ("host", HERE), ("origin", "http://localhost:3000"))


@pytest.mark.parametrize("option", ["server.corsAllowedOrigins", "browser.serverAddress"])
def test_origins_of_streamlits_own_options_are_known(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    value = ["https://vit.example.org"] if option == "server.corsAllowedOrigins" else "vit.example.org"
    read = config.get_option
    monkeypatch.setattr(config, "get_option", lambda name: value if name == option else read(name))
    monkeypatch.setattr(config, "is_manually_set", lambda name: name == option)
    assert opened(inner, ("host", HERE), ("origin", "https://vit.example.org"))
    assert not opened(inner, ("host", HERE), ("origin", "https://evil.example"))


def test_whoever_turns_the_check_of_origins_off_has_none(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    read = config.get_option
    monkeypatch.setattr(guard.config, "get_option", lambda name: name != "server.enableCORS" and read(name))
    assert opened(inner, ("host", HERE), ("origin", "http://evil.example"))
    assert not opened(inner, ("host", "evil.example"), ("origin", "http://evil.example"))
