"""Runs of `features`, and what they leave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vit_engine.cli import main

MODEL = "demo_vit_p16"
PICTURE_FILES = ["features.npz", "norms.png", "pca.png"]
TABLES = ["norms.csv", "run.json"]

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Noise of a seed, (height, width), as a file."""

    def saved(name: str, seed: int = 0, shape: tuple[int, int] = (60, 84)) -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)).save(path)
        return path

    return saved


@pytest.fixture
def features_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Path, str]]:
    """Runs the command: its exit code, the folder of results, and stderr."""

    def run(*arguments: object, model: str = MODEL) -> tuple[int, Path, str]:
        options = ["--model", model, "--device", "cpu", "--out", str(tmp_path / "out")]
        code = main(["features", *map(str, arguments), *options])
        return code, tmp_path / "out", capsys.readouterr().err

    return run


Run = Callable[..., tuple[int, Path, str]]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))
