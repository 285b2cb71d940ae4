"""Memory is linear in the tokens: measured in a process of its own, as the benchmark does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL, SIZE = "random_vit_tiny_p8", 384
MATRICES = 12 * 3 * (1 + 48 * 48) ** 2 * 4  # bytes in 12 layers of 3 heads: 765 MB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")
@pytest.mark.parametrize(
    ("contender", "least", "most"), [("ours", 0, MATRICES / 4), ("explicit", MATRICES, MATRICES * 2)]
)
def test_a_run_takes_a_fraction_of_the_memory_of_the_matrices(contender: str, least: float, most: float) -> None:
    command = [sys.executable, "-m", "benchmarks.measure", contender, MODEL, str(SIZE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert least <= json.loads(done.stdout)["bytes"] <= most
