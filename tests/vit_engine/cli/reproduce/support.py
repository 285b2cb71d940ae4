"""What the tests of `reproduce` share."""

import json
from pathlib import Path
from typing import Any

import pytest

from vit_engine.cli import main

PANES = ("demo_vit_p8:2:1", "demo_vit_p16:5:mean", "random_vit_tiny_p16:3:max:raw:0.9,0.1")
OPTIONS = ["--size", "48", "--point", "0.4,0.9", "--reference", "B", "--seed", "7", "--statistic", "distance_px"]


def told(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str], str]:
    """The exit code, the lines, and what is on stderr."""
    capsys.readouterr()
    code = main(["reproduce", str(path), *options])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def change(folder: Path, *path: str | int, value: Any) -> None:
    whole = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    part = whole
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value(part[path[-1]]) if callable(value) else value
    (folder / "run.json").write_text(json.dumps(whole), encoding="utf-8")


CHECKS = [
    "picture",
    "model demo_vit_p8",
    "model demo_vit_p16",
    "model random_vit_tiny_p16",
    "pane A, map",
    "pane B, map",
    "pane C, map",
    "agreement B–A",
    "agreement B–C",
    "agreement A–C",
    "heads side by side",
    "agreement.csv and run.json",
    "heads.csv",
    "side_by_side.csv and run.json",
    "maps.npz, A",
    "maps.npz, B",
    "maps.npz, C",
    "maps.npz, A_minus_B",
    "maps.npz, C_minus_B",
    "maps.npz and the maps of run.json",
    "maps.npz and the agreement of run.json",
]


def larger(value: float) -> float:
    return value + 0.01
