"""Models on the hub in every command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vit_engine.weights.hub_models import dinov2_files, pickled_files
from tests.vit_engine.weights.hub_server import Hub, Repo, hub_in_use
from vit_engine.cli import main

NAME, OLD = "meta/dinov2-tiny", "google/vit-old"
Out = pytest.CaptureFixture[str]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_in_use(monkeypatch, tmp_path / "huggingface") as hub:
        hub.repos = {NAME: Repo(dict(dinov2_files())), OLD: Repo(dict(pickled_files()))}
        yield hub


def source(hub: Hub, name: str) -> str:
    return f"hf:{name}@{hub.repos[name].commit}"


def test_attend_records_the_commit(hub: Hub, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["attend", str(picture), "--model", NAME, "--size", "20", "--out", str(out)]) == 0
    assert source(hub, NAME) in (out / "run.json").read_text()


def test_inspect_says_what_it_is(hub: Hub, capsys: Out) -> None:
    assert main(["inspect", f"hf:{NAME}"]) == 0
    out = capsys.readouterr().out
    assert f"source        {source(hub, NAME)}\n" in out
    assert f"model         {NAME}: 2 layers of 24 dimensions\n" in out


@pytest.mark.usefixtures("hub")
def test_estimate_takes_a_name(capsys: Out) -> None:
    assert main(["estimate", NAME, "--size", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == NAME


def test_download_fetches_and_verifies(hub: Hub, capsys: Out) -> None:
    sha256 = next(iter(hub.blobs()))
    for status in ("downloaded and verified", "already there and verified"):
        assert main(["download", NAME]) == 0
        line = capsys.readouterr().out
        assert line.startswith(f"{NAME}: {status}, 0.1 MB, sha256 ")
    hub.status = 503
    assert main(["download", NAME]) == 0
    assert capsys.readouterr().out == line
    (blob,) = (path for path in hub.cache.glob("*/blobs/*") if len(path.name) == 64)
    assert f"sha256 {blob.name}" in line
    assert sha256
    blob.write_bytes(b"changed")
    assert main(["download", NAME]) == 1
    assert (
        f"expected {blob.name}, as the hub says. Delete {blob}, and it is downloaded again." in capsys.readouterr().err
    )


@pytest.mark.usefixtures("hub")
def test_download_of_what_is_not_there_fails_alone(capsys: Out) -> None:
    assert main(["download", "meta/nothing", NAME]) == 1
    captured = capsys.readouterr()
    assert "error: meta/nothing: there is no file or folder 'meta/nothing' here, and there is no model" in captured.err
    assert captured.out.startswith(f"{NAME}: downloaded")


def compared(picture: Path, out: Path, *panes: str) -> dict:
    texts = [part for pane in panes for part in ("--pane", pane)]
    assert main(["compare", str(picture), *texts, "--size", "20", "--out", str(out)]) == 0
    return json.loads((out / "run.json").read_text())


def test_panes_of_the_hub_reproduce_from_their_record(hub: Hub, picture: Path, tmp_path: Path, capsys: Out) -> None:
    first, second = source(hub, NAME), source(hub, OLD)
    record = compared(picture, tmp_path / "out", f"{NAME}:1:mean", f"hf:{OLD}@main:0:2", "demo_vit_p8:0:mean")
    assert [pane["pane"] for pane in record["panes"]] == [f"{first}:1:mean", f"{second}:0:2", "demo_vit_p8:0:mean"]
    assert [model["title"] for model in record["models"]][:2] == [NAME, OLD]
    assert [model["weights"]["source"] for model in record["models"]][:2] == [first, second]
    assert str(tmp_path) not in (tmp_path / "out/run.json").read_text()
    hub.status = 503  # it is in the cache, by its commit
    assert main(["reproduce", str(tmp_path / "out")]) == 0
    assert "do not match" not in capsys.readouterr().out


def test_another_commit_is_another_model(hub: Hub, picture: Path, tmp_path: Path) -> None:
    old = source(hub, NAME)
    compared(picture, tmp_path / "first", f"{NAME}:1", "demo_vit_p8:0")
    hub.repos[NAME].files["config.json"] += b"\n"
    record = compared(picture, tmp_path / "out", f"{NAME}:1", f"{old}:1")
    titles = [model["title"] for model in record["models"]]
    assert titles == [f"{NAME}@{hub.repos[NAME].commit[:7]}", f"{NAME}@{old.partition('@')[2][:7]}"]


def test_a_part_with_heads_that_are_said(hub: Hub, picture: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    weights = tmp_path / "weights.bin"
    weights.write_bytes(pickled_files()["pytorch_model.bin"])
    torch.save({"student": torch.load(weights), "teacher": torch.load(weights)}, tmp_path / "run.pth")
    hub.repos["me/run"] = Repo({"run.pth": (tmp_path / "run.pth").read_bytes()})
    panes = ("--pane", "me/run#student:1", "--pane", "me/run:0", "--heads", "me/run#student=3", "--heads", "me/run=4")
    out = tmp_path / "out"
    assert main(["compare", str(picture), *panes, "--size", "20", "--out", str(out)]) == 0
    models = json.loads((out / "run.json").read_text())["models"]
    assert [(model["model"], model["spec"]["heads"]) for model in models] == [
        (f"{source(hub, 'me/run')}#student", 3),
        (source(hub, "me/run"), 4),
    ]
    assert main(["reproduce", str(out)]) == 0


def test_a_record_of_the_dashboard_says_heads_behind_the_commit(hub: Hub, picture: Path, tmp_path: Path) -> None:
    compared(picture, tmp_path / "out", f"{NAME}:1:mean", "demo_vit_p8:0:mean")
    for name in ("run.json", "heads.csv"):
        path = tmp_path / "out" / name
        path.write_text(path.read_text().replace(source(hub, NAME), f"{source(hub, NAME)}@3"))
    assert main(["reproduce", str(tmp_path / "out")]) == 0


def test_the_hub_is_where_the_environment_says(hub: Hub, tmp_path: Path) -> None:
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "vit_engine", "download", NAME, "--json"]
    for status, more in (("downloaded", {}), ("there", {"HF_HUB_OFFLINE": "1"})):
        done = subprocess.run(command, env={**os.environ, **home, **more}, capture_output=True, text=True, check=True)
        (record,) = json.loads(done.stdout)
        assert record["status"] == status
        assert record["path"].startswith(str(tmp_path / "home" / "hub"))
        assert done.stderr == ""
