"""The estimate holds what a run takes: measured in a process of its own, as the benchmark does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vit_engine as ve
from vit_engine.registry import find_model

ROOT = Path(__file__).parents[3]
MIB = 1 << 20


@pytest.fixture(scope="module")
def measuring() -> Iterator[subprocess.Popen[str]]:
    """A program that takes a run a line, and answers with its bytes."""
    command = [sys.executable, "-m", "tests.vit_engine.planning.measured"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")
@pytest.mark.parametrize(
    "run",
    [
        ("random_vit_tiny_p8", (232, 376), "float32", {}),  # most of it is kept
        ("demo_vit_p8", (600, 360), "bfloat16", {"layers": [2], "statistics": "none"}),  # most of it is at work
        ("random_vit_tiny_p8", (232, 376), "float32", {"facet": "token"}),
        ("random_vit_tiny_p8", (232, 376), "float32", {"facet": "key", "precision": "float32"}),
        ("demo_vit_p8", (600, 360), "bfloat16", {"layers": [2], "facet": "value"}),
        ("random_vit_tiny_p8", (232, 376), "float32", {"gradients": True}),
    ],
)
def test_a_run_takes_no_more_than_its_estimate_and_not_much_less(
    run: tuple[str, tuple[int, int], str, dict[str, Any]],
    measuring: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model, size, dtype, asked = run
    print(json.dumps(run), file=measuring.stdin, flush=True)
    measured = int(measuring.stdout.readline())
    estimate = ve.estimate(find_model(model), size, device="cpu", dtype=getattr(torch, dtype), **asked)
    assert measured <= estimate.peak_bytes <= 1.3 * measured + 32 * MIB
