"""What attention analysis costs: attend() beside a plain forward pass and beside keeping every matrix.

python -m benchmarks.attend --runs 3

Random weights, a picture of noise, one thread on the CPU. Three contenders:

limit      a plain forward pass, which shows no attention at all: nothing can cost less;
ours       attend() with all statistics of all layers and heads;
explicit   what hooks do: the softmax matrices of all layers are kept, then their entropies are computed.

Each run is a process of its own, contenders take turns, and the median of the runs is printed. Seconds are CPU
time. Memory is the peak above the loaded model and prepared picture: the kernel's high-water mark, which is set
back before the run, so this needs Linux. A small run comes first, so that one-time costs are not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import vit_engine as ve
from vit_engine.model import Block
from vit_engine.streaming import explicit_weights

CASES = (("random_vit_small_p16", 224), ("random_vit_small_p8", 480))
Contender = Callable[[ve.LoadedModel, ve.PreparedImage], object]


def limit(loaded: ve.LoadedModel, prepared: ve.PreparedImage) -> Tensor:
    """The model's output alone."""
    with torch.inference_mode():
        return loaded.model(prepared.tensor.unsqueeze(0))


def ours(loaded: ve.LoadedModel, prepared: ve.PreparedImage) -> ve.AttentionTrace:
    """Queries, keys, log-normalisers and all statistics."""
    return ve.attend(loaded, prepared)


def explicit(loaded: ve.LoadedModel, prepared: ve.PreparedImage) -> tuple[list[Tensor], list[Tensor]]:
    """Every layer's matrices, which also mix the values, and then the entropies of their rows."""
    kept = []
    with torch.inference_mode():
        x = loaded.model.embed(prepared.tensor.unsqueeze(0))
        for block in cast(Sequence[Block], loaded.model.blocks):
            attention = block.attn
            q, k, v = attention.queries_keys_values(block.norm1(x))
            kept.append(explicit_weights(q, k, scale=attention.scale))
            x = x + attention.proj((kept[-1] @ v).transpose(1, 2).flatten(2))
            x = x + block.mlp(block.norm2(x))
        return kept, [torch.special.entr(weights).sum(dim=-1) for weights in kept]


CONTENDERS: dict[str, Contender] = {"limit": limit, "ours": ours, "explicit": explicit}


def peak_bytes() -> int:
    """The process's high-water mark of resident memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure(contender: str, model: str, size: int) -> dict[str, float]:
    """CPU seconds and additional bytes of one run in this process."""
    torch.set_num_threads(1)
    loaded = ve.load_model(model, weights="random", device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    small, prepared = (ve.prepare_image(Image.fromarray(noise), loaded.spec, size=side) for side in (32, size))
    run = CONTENDERS[contender]
    run(loaded, small)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark is now what is in use
    before, started = peak_bytes(), time.process_time()
    kept = run(loaded, prepared)
    seconds, extra = time.process_time() - started, peak_bytes() - before
    del kept
    return {"seconds": seconds, "bytes": extra}


def measure_apart(contender: str, model: str, size: int) -> dict[str, float]:
    """As measure(), in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.attend", "--one", contender, model, str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def table(runs: int) -> str:
    """The medians as Markdown, with ratios to the limit."""
    lines = [
        "| model | size | | CPU seconds | × limit | extra peak memory | × limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, size in CASES:
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(runs):
            for name, results in measured.items():
                results.append(measure_apart(name, model, size))
        medians = {
            name: {unit: statistics.median(result[unit] for result in results) for unit in ("seconds", "bytes")}
            for name, results in measured.items()
        }
        for name, median in medians.items():
            ratios = {unit: f"{median[unit] / medians['limit'][unit]:.2f}" for unit in median}
            lines.append(
                f"| {model} | {size}×{size} | {name} | {median['seconds']:.2f} | {ratios['seconds']} "
                f"| {median['bytes'] / 2**20:,.0f} MiB | {ratios['bytes']} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each contender; default: 3")
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "MODEL", "SIZE"), help="one run, here, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        contender, model, size = arguments.one
        print(json.dumps(measure(contender, model, int(size))))
    else:
        print(table(arguments.runs))


if __name__ == "__main__":
    main()
