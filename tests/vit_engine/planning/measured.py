"""Run as a program of its own: the peak memory of runs, in bytes, of which each line of its input names one.

Every run has a fork of the process for itself: memory that another has left is not at hand, and nothing is imported
again.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

import vit_engine as ve
from benchmarks.measure import watch
from vit_engine.trace.differentiate import differentiate


def measure(model: str, size: Sequence[int], dtype: str, asked: dict[str, Any]) -> int:
    """Above the loaded model and the prepared picture, after a small run that takes one-time costs."""
    loaded = ve.load_model(model, weights="random", device="cpu")
    loaded.model.to(getattr(torch, dtype))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    small, prepared = (ve.prepare_image(noise, loaded.spec, size=each) for each in ((32, 48), tuple(size)))
    if "gradients" in asked:
        traces = {id(each): ve.attend(loaded, each, statistics="none") for each in (small, prepared)}

        def run(picture: ve.PreparedImage) -> object:
            return differentiate(loaded, picture, target="patch:1,2", trace=traces[id(picture)])
    else:

        def run(picture: ve.PreparedImage) -> object:
            return (ve.features if "facet" in asked else ve.attend)(loaded, picture, **asked)

    run(small)
    return int(watch(lambda: run(prepared))["bytes"])


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        if os.fork() == 0:
            sys.stdout.write(f"{measure(*json.loads(line))}\n")
            sys.stdout.flush()
            os._exit(0)
        if os.wait()[1] != 0:
            sys.exit("a run failed")


if __name__ == "__main__":
    main()
