"""What the suites of the dashboard share: pictures, and what the engine itself says about them."""

import functools
import io
from typing import Any

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.explore.mosaics import THUMBNAIL, thumbnails
from dashboard.services import catalogue, pictures
from dashboard.services.analyses import Analysis, Request
from dashboard.services.jobs import Progress
from dashboard.services.pictures import Picture
from dashboard.testing import decode_figure, open_app
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


def cells(figure: dict[str, dict[str, Any]], rows: int, cols: int) -> dict[tuple[int, ...], np.ndarray]:
    """The maps (rows, cols) of a mosaic, each cut out around its marker, by what the marker stands for."""
    heatmap, markers = figure["attention"]["z"], figure["cells"]
    found = {}
    for x, y, data in zip(markers["x"], markers["y"], markers["customdata"], strict=True):
        top, left = round(y - (rows - 1) / 2), round(x - (cols - 1) / 2)
        found[tuple(int(number) for number in data)] = heatmap[top : top + rows, left : left + cols]
    return found


def open_small(**link: str) -> AppTest:
    """The app on a small view, but for what the link says."""
    return open_app(**SMALL | link)


def small_trace(*, picture: str = SMALL["picture"], model: str = SMALL["model"], size: int = 96) -> ve.AttentionTrace:
    """What the engine says about a sample."""
    return engine_trace(pictures.sample_picture(picture).data, model, size)


def assert_works(at: AppTest) -> None:
    """No exception, and the sidebar and the controls of Explore are there."""
    assert not at.exception
    for key in (keys.SOURCE, keys.MODEL, keys.SIZE, keys.OPACITY, keys.COLOURS, keys.SCALE, keys.CLIP):
        assert at.sidebar.get_by_key(key).key == key
    for key in (keys.LAYER, keys.HEAD, keys.VIEW):
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
    mosaic = cells(decode_figure(at, keys.MOSAIC), *scaled.shape[2:])
    assert mosaic.keys() == {(number, one) for number in trace.layers for one in range(trace.spec.heads)}
    for (number, one), cell in mosaic.items():
        np.testing.assert_allclose(cell, scaled[number, one], **DETAILS)
    grid = cells(decode_figure(at, keys.HEAD_GRID), *maps.shape[2:])
    assert grid.keys() == {(one,) for one in range(trace.spec.heads)}
    for (one,), cell in grid.items():
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
    np.testing.assert_allclose(drawn["patches"]["customdata"], expected.ravel(), **DETAILS)
    limit = limits[head] if isinstance(head, int) else np.percentile(expected, clip)
    np.testing.assert_allclose(drawn["attention"]["zmax"], limit, **DETAILS)
    mark = drawn.get("query", {"y": [], "x": []})
    assert set(zip(mark["y"], mark["x"], strict=True)) == (set() if query == "cls" else {query})
