"""What the suites of the dashboard share: pictures, and what the engine itself says about them."""

import functools
import io
import re
from typing import Any

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.explore.mosaics import THUMBNAIL, thumbnails
from dashboard.services import catalogue, pictures
from dashboard.services.analyses import Analysis, Request
from dashboard.services.pictures import Picture
from dashboard.testing import decode_figure, open_app
from vit_engine.progress import Progress
from vit_engine.trace import attend  # by itself: tests count the calls of ve.attend

SMALL = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}  # a link: 6×8 patches, analysed at once
DETAILS = {"rtol": 1e-4, "atol": 1e-7}  # between two runs of a model; limits divide by small numbers


def ignore(fraction: float, message: str) -> None:
    """A progress that nobody looks at."""


def request(picture: Picture, model: str, size: int) -> Request:
    """A picture in a model of this name."""
    return Request(picture, catalogue.models()[model], size)


def analyse(picture: Picture, model: str, size: int, progress: Progress = ignore) -> Analysis:
    """A picture in a model, through the dashboard's services."""
    return request(picture, model, size).analyse(progress)


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


def cells(figure: dict[str, dict[str, Any]], rows: int, cols: int) -> dict[str, np.ndarray]:
    """The maps (rows, cols) of a mosaic, each cut out around the middle of its cell, by what hover tells there."""
    heatmap, over = figure["attention"]["z"], figure["cells"]
    found = {}
    for (row, col), text in np.ndenumerate(np.array(over["text"])):
        top = round(over["y0"] + row * over["dy"] - (rows - 1) / 2)
        left = round(over["x0"] + col * over["dx"] - (cols - 1) / 2)
        if text:
            found[str(text)] = heatmap[top : top + rows, left : left + cols]
    return found


def head_cells(at: AppTest, key: str, rows: int, cols: int) -> dict[tuple[int, ...], np.ndarray]:
    """The same of a drawn mosaic, by (layer, head)."""
    found = cells(decode_figure(at, key), rows, cols)
    return {tuple(map(int, re.findall(r"(?:layer|head) (\d+)", text))): cell for text, cell in found.items()}


def hover_texts(trace: dict[str, Any]) -> np.ndarray:
    """What a drawn heatmap tells on hover, a text a cell: (rows, cols)."""
    rows, cols = trace["z"].shape
    names = {axis: trace.get(axis, range(count)) for axis, count in (("x", cols), ("y", rows))}

    def text(row: int, col: int) -> str:
        known = {"x": names["x"][col], "y": names["y"][row], "z": trace["z"][row, col]}
        known |= {name: trace[name][row][col] for name in ("customdata", "text") if name in trace}
        return re.sub(
            r"%\{(\w+)(?::([^}]*))?\}",
            lambda part: format(known[part[1]], part[2] or ""),
            trace["hovertemplate"].removesuffix("<extra></extra>"),
        )

    return np.array([[text(row, col) for col in range(cols)] for row in range(rows)])


def open_small(**link: str) -> AppTest:
    """The app on a small view, but for what the link says."""
    return open_app(**SMALL | link)


def small_trace(*, picture: str = SMALL["picture"], model: str = SMALL["model"], size: int = 96) -> ve.AttentionTrace:
    """What the engine says about a sample."""
    return engine_trace(pictures.sample_picture(picture).data, model, size)


def assert_works(at: AppTest, *, walk: tuple[str, ...] = (keys.LAYER, keys.HEAD)) -> None:
    """No exception, and the sidebar and the controls of Explore are there. walk: those that the method depends on."""
    assert not at.exception
    for key in (keys.SOURCE, keys.MODEL, keys.SIZE, keys.OPACITY, keys.COLOURS, keys.SCALE, keys.CLIP):
        assert at.sidebar.get_by_key(key).key == key
    for key in (*walk, keys.VIEW):
        assert at.main.get_by_key(key).key == key


def assert_drawn(
    at: AppTest,
    trace: ve.AttentionTrace,
    *,
    layer: int,
    head: int | str = "mean",
    query: str | tuple[int, int] = "cls",
    own_scale: bool = False,
    clip: float = 99.5,
) -> None:
    """The large map, the layer's heads and all heads are the engine's, on the scale that was asked for."""
    assert_works(at)
    maps = np.stack([trace.head_maps(number, query) for number in trace.layers])
    axes = (2, 3) if own_scale else (1, 2, 3)
    limits = np.broadcast_to(np.percentile(maps, clip, axis=axes, keepdims=True), (*maps.shape[:2], 1, 1))
    _assert_overlay(at, trace, limits[layer, :, 0, 0], layer=layer, head=head, query=query, clip=clip)
    scaled = thumbnails(maps / limits) if max(maps.shape) > THUMBNAIL else maps / limits
    mosaic = head_cells(at, keys.MOSAIC, *scaled.shape[2:])
    assert mosaic.keys() == {(number, one) for number in trace.layers for one in range(trace.spec.heads)}
    for (number, one), cell in mosaic.items():
        np.testing.assert_allclose(cell, scaled[number, one], **DETAILS)
    grid = head_cells(at, keys.HEAD_GRID, *maps.shape[2:])
    assert grid.keys() == {(layer, one) for one in range(trace.spec.heads)}
    for (_, one), cell in grid.items():
        np.testing.assert_allclose(cell, (maps / limits)[layer, one], **DETAILS)


def _assert_overlay(
    at: AppTest,
    trace: ve.AttentionTrace,
    limits: np.ndarray,
    *,
    layer: int,
    head: int | str,
    query: str | tuple[int, int],
    clip: float,
) -> None:
    drawn = decode_figure(at, keys.OVERLAY)
    expected = trace.attention_map(layer, head, query).values
    np.testing.assert_allclose(drawn["attention"]["z"], expected, **DETAILS)
    told = drawn.get("patches", drawn["attention"])  # beside the map, the picture tells its numbers too
    np.testing.assert_allclose(told["z"], expected, **DETAILS)
    rows, cols = expected.shape
    assert hover_texts(told)[-1, -1] == f"patch row {rows - 1}, col {cols - 1}<br>weight {told['z'][-1, -1]:.3%}"
    limit = limits[head] if isinstance(head, int) else np.percentile(expected, clip)
    np.testing.assert_allclose(drawn["attention"]["zmax"], limit, **DETAILS)
    mark = drawn.get("query", {"y": [], "x": []})
    assert set(zip(mark["y"], mark["x"], strict=True)) == (set() if query == "cls" else {query})
