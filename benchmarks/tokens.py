"""What tokens cost beside a plain forward pass, and what their views cost once they are kept: `make bench-tokens`.

All in one process, in turns, so that ratios hold whatever else the machine does. Written to benchmarks/TOKENS.md.
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

import vit_engine as ve
from benchmarks.contenders import Pictures, build_limit
from benchmarks.measure import watch
from vit_engine.analysis.tokens.pca import sign_references

OUT = Path(__file__).with_name("TOKENS.md")
CASES = (("random_vit_small_p8", 480), ("random_vit_small_p16", 224))
FACETS = ("token", "key")

Calls = dict[str, Callable[[], object]]


def in_turns(calls: Calls, runs: int) -> dict[str, float]:
    """The median seconds of each, after one call of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            gc.collect()
            started = time.perf_counter()
            call()
            if run:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def runs_of(loaded: ve.LoadedModel, pictures: Pictures) -> Calls:
    """A plain forward pass, features() and attend() of the same picture."""
    prepared, limit = pictures.prepared[0], build_limit(loaded)
    calls: Calls = {"a plain forward pass": lambda: limit(pictures)}
    for facet in FACETS:
        calls[f"`features(facet={facet!r})`"] = partial(ve.features, loaded, prepared, facet=facet)
    return {**calls, "`attend()`": lambda: ve.attend(loaded, prepared)}


def views_of(kept: ve.Features) -> Calls:
    """What is made of features that are kept."""
    grid = kept.grid
    middle = grid.rows // 2, grid.cols // 2

    def signs() -> object:
        kept.computed.clear()
        return sign_references(kept)

    def components() -> object:
        kept.computed.pop(("pca", 5, None), None)
        return ve.pca_map(kept, layer=5)

    return {
        "signs of components, by all layers, once": signs,
        "`pca_map()` of a layer, the first time": components,
        "`pca_map()` of a layer, again": lambda: ve.pca_map(kept, layer=5),
        "`pca_map()` of a layer's foreground": lambda: ve.pca_map(kept, layer=5, foreground="high"),
        "`similarity_map()`, a click": lambda: ve.similarity_map(kept, middle, layer=5),
        "`token_norms()` of a layer": lambda: ve.token_norms(kept, layer=5),
        "`correspondences()`, all pairs of patches": lambda: ve.correspondences(kept, kept, layer=5),
    }


def memory_of(call: Callable[[], object]) -> int:
    """Bytes above what there is, at the peak."""
    gc.collect()
    return int(watch(call)["bytes"])


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---", *["--:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured(name: str, size: int, runs: int) -> str:
    """A case as Markdown."""
    loaded = ve.load_model(name, device="cpu")
    pictures = Pictures.of_noise(loaded.spec, size=(size, size))
    calls = runs_of(loaded, pictures)
    seconds = in_turns(calls, runs)
    limit = seconds["a plain forward pass"]
    memory = {called: memory_of(call) for called, call in calls.items()}
    rows = [
        (called, f"{each:.3f}", f"{each / limit:.2f}", f"{memory[called] / 2**20:.0f}")
        for called, each in seconds.items()
    ]
    kept = ve.features(loaded, pictures.prepared[0])
    views = in_turns(views_of(kept), runs)
    return "\n\n".join(
        [
            f"## {loaded.spec.title} at {size}×{size}, {kept.grid.tokens:,} tokens",
            table(("", "s", "× forward pass", "MiB"), rows),
            f"Of features that are kept ({kept.nbytes / 1e6:.0f} MB):",
            table(("", "ms"), [(called, f"{1000 * each:.1f}") for called, each in views.items()]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.tokens", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two runs of each, and nothing is written")
    quick = parser.parse_args().quick
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    text = "\n\n".join(
        [
            "# Tokens",
            "Written by `make bench-tokens`. Random weights, a picture of noise, float32 on the CPU; all in one "
            "process, in\nturns; medians. Memory is the peak above the loaded model and the prepared picture.",
            f"torch {torch.__version__}, {machine}.",
            *(measured(name, size, 2 if quick else 5) for name, size in CASES),
        ]
    )
    print(text)
    if not quick:
        OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
