"""One run in this process, as JSON: python -m benchmarks.measure ours random_vit_small_p8 480 --threads 1

cpu_seconds: CPU time of all threads. wall_seconds: by the clock. bytes: peak memory above the loaded model and the
prepared pictures, by the kernel's high-water mark, which is set back before the run: this needs Linux. A small run
comes first, so that one-time costs are not counted. Weights are random, pictures are noise.

The contender "click" is no run of a model: its seconds are the median of one read of a query's rows, all heads of a
layer, from a trace. Neither is "rollout_from_trace".
"""

import argparse
import ctypes
import gc
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

import vit_engine as ve
from benchmarks.contenders import CONTENDERS, Pictures
from benchmarks.methods import METHOD_CONTENDERS, build_rollout_from_trace, with_uneven_gains

CLICKS = 600
FROM_TRACE = "rollout_from_trace"
Measurement = dict[str, float]


def measure(contender: str, model: str, size: int, *, threads: int = 1, pictures: int = 1) -> Measurement:
    """CPU seconds, wall seconds and additional peak bytes of one run."""
    torch.set_num_threads(threads)
    loaded = ve.load_model(model, weights="random", device="cpu")
    full = Pictures.of_noise(loaded.spec, size=(size, size), count=pictures)
    if contender == "click":
        return measure_clicks(loaded, full)
    small = Pictures.of_noise(loaded.spec, size=(32, 32), count=pictures)
    if contender == FROM_TRACE:
        build_rollout_from_trace(loaded, small)()
        return watch(build_rollout_from_trace(loaded, full))
    attention = contender in CONTENDERS
    run = CONTENDERS[contender](loaded) if attention else METHOD_CONTENDERS[contender](with_uneven_gains(loaded))
    del loaded  # timm and transformers have copied what they need
    with torch.inference_mode(mode=attention):  # methods take gradients, which it does not allow
        run(small)
        return watch(lambda: run(full))


def measure_clicks(loaded: ve.LoadedModel, pictures: Pictures) -> Measurement:
    """The medians over random patches as queries, the layers by turns."""
    trace = ve.attend(loaded, pictures.prepared[0], statistics="none")
    queries = np.random.default_rng(0).integers(trace.grid.shape, size=(CLICKS, 2)).tolist()
    reads = [partial(trace.rows, click % loaded.spec.depth, (row, col)) for click, (row, col) in enumerate(queries)]
    clicks = [watch(read, settled=True) for read in reads]
    return {unit: statistics.median(click[unit] for click in clicks) for unit in clicks[0]}


def watch(run: Callable[[], object], *, settled: bool = False) -> Measurement:
    """What a call costs while its result is alive. settled: memory is already as it should be before."""
    if not settled:
        settle()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark is now what is in use
    before = peak_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    kept = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    extra = peak_bytes() - before
    del kept
    return {"cpu_seconds": cpu, "wall_seconds": wall, "bytes": extra}


def settle() -> None:
    """Free memory goes back to the system: a run that could reuse it would seem to need less."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def peak_bytes() -> int:
    """The process's high-water mark of resident memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("contender", choices=(*CONTENDERS, *METHOD_CONTENDERS, FROM_TRACE, "click"))
    parser.add_argument("model", help="a name of the registry")
    parser.add_argument("size", type=int, help="the side of the pictures, in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=1, help="how many in one run")
    print(json.dumps(measure(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
