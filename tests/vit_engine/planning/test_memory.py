"""The estimate holds what a run takes: measured in a process of its own, as the benchmark does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import vit_engine as ve
from vit_engine.registry import find_model

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
MEASURE = """
import json, sys, torch
import numpy as np
import vit_engine as ve
from benchmarks.measure import watch
from vit_engine.trace.differentiate import differentiate
from PIL import Image

torch.set_num_threads(1)
model, size, dtype, asked = json.loads(sys.argv[1])
loaded = ve.load_model(model, weights="random", device="cpu")
loaded.model.to(getattr(torch, dtype))
noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
small, prepared = (ve.prepare_image(noise, loaded.spec, size=each) for each in ([32, 48], size))
run = ve.features if "facet" in asked else ve.attend
if "gradients" in asked:
    traces = {id(each): ve.attend(loaded, each, statistics="none") for each in (small, prepared)}
    run = lambda *given, gradients: differentiate(*given, target="patch:1,2", trace=traces[id(given[1])])
run(loaded, small, **asked)
print(watch(lambda: run(loaded, prepared, **asked))["bytes"])
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")
@pytest.mark.parametrize(
    ("model", "size", "dtype", "asked"),
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
    model: str, size: tuple[int, int], dtype: str, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    command = [sys.executable, "-c", MEASURE, json.dumps([model, size, dtype, asked])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    measured = int(done.stdout)
    estimate = ve.estimate(find_model(model), size, device="cpu", dtype=getattr(torch, dtype), **asked)
    assert measured <= estimate.peak_bytes <= 1.3 * measured + 32 * MIB
