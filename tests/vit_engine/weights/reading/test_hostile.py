"""No small file takes much memory or time, whatever it claims."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.vit_engine.weights.reading.hostile import FILES, HARMLESS
from tests.vit_engine.weights.reading.hostile_onnx import ONNX_FILES
from tests.vit_engine.weights.reading.hostile_tensors import TENSOR_FILES

ROOT = Path(__file__).parents[4]
MEMORY = 400 << 20  # bytes; the largest of them, a million sets in a pickle of 1 MB, takes 230 MB
SECONDS = 15  # of the processor, for reading it twice; the longest takes 4


class Measured(NamedTuple):
    said: str
    memory: int
    seconds: float


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    folder = tmp_path_factory.mktemp("hostile")
    files = FILES | TENSOR_FILES | ONNX_FILES | HARMLESS
    paths = [folder / name for name in files]
    for path, write in zip(paths, files.values(), strict=True):
        write(path)
    command = [sys.executable, "-m", "tests.vit_engine.weights.reading.measured", *paths]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    lines = [Measured(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(lines) == len(paths), f"{paths[len(lines)].name} ended the process: {done.stderr[-500:]}"
    return dict(zip(files, lines, strict=True))


@pytest.mark.parametrize("name", FILES | TENSOR_FILES | ONNX_FILES)
def test_a_hostile_file_is_refused_at_little_cost(measured: dict[str, Measured], name: str) -> None:
    said, memory, seconds = measured[name]
    assert said.startswith(("CheckpointError: ", "ResourceError: ")), said[:500]
    assert " | " not in said, "inspecting and loading it differ"
    assert f"{name}" in said, "the message does not name the file"
    assert len(said) < 1500
    assert memory < MEMORY
    assert seconds < SECONDS


@pytest.mark.parametrize("name", HARMLESS)
def test_arguments_that_cannot_be_looked_at_are_left(measured: dict[str, Measured], name: str) -> None:
    said, memory, seconds = measured[name]
    assert said == "loaded"
    assert memory < MEMORY
    assert seconds < SECONDS
