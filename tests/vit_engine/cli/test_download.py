"""`download` fills the cache folder: every model has its turn, and every file is verified."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vit_engine.weights.serving import BODY, Served, Server, running
from vit_engine import registry
from vit_engine.cli import main

SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Has the weights of dino_vits16, and not those of the other models."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("VIT_ENGINE_MIRROR", raising=False)
    with running() as server:
        server.files["/dino_vits16.pth"] = Served()
        models = tuple(
            dataclasses.replace(spec, weights=dataclasses.replace(spec.weights, url=f"{server.url}/{spec.name}.pth"))
            if spec.weights and spec.weights.url
            else spec
            for spec in registry.MODELS
        )
        monkeypatch.setattr(registry, "MODELS", models)
        yield server


@pytest.mark.usefixtures("server")
def test_a_model_is_downloaded_and_then_only_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for status in ("downloaded and verified", "already there and verified"):
        assert main(["download", "dino_vits16"]) == 0
        captured = capsys.readouterr()
        assert captured.out == f"dino_vits16: {status}, 2.5 MB, sha256 {SHA256}, {tmp_path / 'dino_vits16.pth'}\n"
        assert captured.err == ""
    (tmp_path / "dino_vits16.pth").write_bytes(b"changed")
    assert main(["download", "dino_vits16"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"vit-engine: error: dino_vits16: {tmp_path / 'dino_vits16.pth'} has sha256 ")


@pytest.mark.usefixtures("server")
def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "dino_vits8", "dino_vits17", "dino_vits16", "dino_vits16"]) == 1
    captured = capsys.readouterr()
    missing, unknown = captured.err.splitlines()
    assert missing.startswith("vit-engine: error: dino_vits8: could not download ")
    assert "HTTP 404" in missing
    assert "did you mean 'dino_vits1" in unknown
    assert captured.out.splitlines() == [
        f"dino_vits16: downloaded and verified, 2.5 MB, sha256 {SHA256}, {tmp_path / 'dino_vits16.pth'}"
    ]


@pytest.mark.usefixtures("server")
def test_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "--json", "dino_vits16", "dino_vits8", "random_vit_tiny_p16"]) == 1
    captured = capsys.readouterr()
    there, failed, nothing = json.loads(captured.out)
    path = tmp_path / "dino_vits16.pth"
    assert there == {
        "name": "dino_vits16",
        "status": "downloaded",
        "path": str(path),
        "bytes": 2510000,
        "sha256": SHA256,
    }
    assert (failed["name"], failed["status"]) == ("dino_vits8", "failed")
    assert captured.err == f"vit-engine: error: dino_vits8: {failed['error']}\n"
    assert nothing == {"name": "random_vit_tiny_p16", "status": "none"}


def test_models_without_a_download_are_told(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "demo_vit_p8", "random_vit_tiny_p16"]) == 0
    demo, random = capsys.readouterr().out.splitlines()
    assert demo.startswith("demo_vit_p8: bundled, verified, ")
    assert random == "random_vit_tiny_p16: nothing to download, it has random weights only"
    assert server.asked == []


def test_a_family_is_all_its_models(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    names = [spec.name for spec in registry.MODELS if spec.family == "dino"]
    server.files.update({f"/{name}.pth": Served() for name in names})
    assert main(["download", "--family", "dino"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == names


@pytest.mark.parametrize("family", ["random", "demo", "dinosaur"])
def test_a_family_without_downloads_is_one_line(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "--family", family]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("vit-engine: error: no family with weights to download is called ")
    assert "there are: dino" in captured.err
    assert captured.err.count("\n") == 1


def test_no_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download"]) == 2
    assert "usage: vit-engine download" in capsys.readouterr().err
