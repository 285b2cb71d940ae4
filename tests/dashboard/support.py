"""What the suites of the dashboard share: pictures, and what the engine itself says about them."""

import functools
import io
from typing import Any

import numpy as np
from PIL import Image

import vit_engine as ve
from vit_engine.trace import attend  # by itself: tests count the calls of ve.attend


def noise_png(seed: int, *, height: int = 113, width: int = 149) -> bytes:
    """A picture file of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def engine_trace(data: bytes, model: str, size: int) -> ve.AttentionTrace:
    """What the engine says about a picture file, not through the dashboard."""
    loaded = ve.load_model(model)
    return attend(loaded, ve.prepare_image(ve.open_image(data), loaded.spec, size=size))


def cells(figure: dict[str, dict[str, Any]], rows: int, cols: int) -> dict[tuple[int, ...], np.ndarray]:
    """The maps (rows, cols) of a mosaic, each cut out around its marker, by what the marker stands for."""
    heatmap, markers = figure["attention"]["z"], figure["cells"]
    found = {}
    for x, y, data in zip(markers["x"], markers["y"], markers["customdata"], strict=True):
        top, left = round(y - (rows - 1) / 2), round(x - (cols - 1) / 2)
        found[tuple(int(number) for number in data)] = heatmap[top : top + rows, left : left + cols]
    return found
