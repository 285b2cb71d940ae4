"""`models` lists what the registry has, and what is here of it."""

import json
from pathlib import Path

import pytest

import vit_engine as ve
from vit_engine.cli import main

MODEL = "random_vit_tiny_p16"


def test_models_lists_all_of_them(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["name", "title", "patch_size"]
    assert [row.split()[0] for row in rows] == [spec.name for spec in ve.list_models()]


def test_models_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows[MODEL] == {
        "name": MODEL,
        "title": "Random ViT-Ti/16",
        "patch_size": 16,
        "dim": 192,
        "depth": 12,
        "heads": 3,
        "parameters": ve.load_model(MODEL).parameter_count,
        "weights": "random, offline",
    }
    assert rows["demo_vit_p8"]["weights"] == "trained, offline"


def test_models_says_what_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["dino_vits16"]["weights"] == "trained, downloaded at first use"
