"""Comparisons and panels to test with: 96×136 px, so 12×17 patches of 8 px, 6×8 of 16 px after the crop."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.comparison import Comparison, Pane, evaluate_pane
from vit_engine.grid import TokenGrid
from vit_engine.image import target_size
from vit_engine.report.painter import Sheet, View, own_settings
from vit_engine.report.panels import Panel

SIZE = 96
FRAME = (96, 136)
POINT = (0.4, 0.55)
PANES = ("demo_vit_p8:2:1", "demo_vit_p16:5:mean", "random_vit_tiny_p16:3:max")
STATISTIC = "cls_entropy_normalised"
# What a comparison leaves.
FILES = [
    "agreement.csv",
    "comparison.html",
    "comparison.pdf",
    "comparison.png",
    "comparison.svg",
    "heads.csv",
    "maps.npz",
    "picture.png",
    "run.json",
    "side_by_side.csv",
]


def a_picture(kind: str = "PNG", **options: Any) -> Image.Image:
    """A bright disc on a slope of colours, from a file of this kind."""
    y, x = np.mgrid[:192, :272]
    pixels = np.stack([x * 255 // 272, y * 255 // 192, (x + y) * 255 // 464], axis=-1)
    pixels[(y - 90) ** 2 + (x - 150) ** 2 < 1600] = (250, 240, 60)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind, **options)
    return ve.open_image(buffer.getvalue())


def compared(*texts: str, picture: Image.Image, **options: Any) -> Comparison:
    """What the engine shows of panes, a run each."""
    shown = []
    for number, text in enumerate(texts):
        pane = Pane.parse(text)
        loaded = ve.load_model(pane.model, device="cpu")
        prepared = ve.prepare_image(picture, loaded.spec, size=SIZE)
        frame = target_size((picture.height, picture.width), loaded.spec, SIZE)
        trace = ve.attend(loaded, prepared)
        shown.append(evaluate_pane(number, pane, trace, prepared.pixels, loaded.report, frame=frame, point=POINT))
    return Comparison(tuple(shown), FRAME, point=POINT, **options)


# 2×3 patches of 5 px on a picture of 11×16 px: one row and one column of pixels belong to no patch.
GRID = TokenGrid(1, 2, 3, 5)
SMALL = (11, 16)
VALUES = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, np.nan]], dtype=np.float32)
PICTURE_COLOUR = np.array([40, 80, 120])
STOPS = [(0.0, "rgb(0, 0, 0)"), (0.5, "rgb(100, 0, 200)"), (1.0, "rgba(200, 100, 0, 0.5)")]


def panel(**changes: Any) -> Panel:
    """A panel whose colours are reckoned by hand: black at 0, (100, 0, 200) at 0.2, half clear (200, 100, 0) at 0.4."""
    pixels = np.broadcast_to(PICTURE_COLOUR, (10, 15, 3)).astype(np.uint8)
    scale: dict[str, Any] = {"low": 0.0, "high": 0.4, "limit": 0.4, "unit": "attention weight", "stops": STOPS}
    name, title = "A", "Demo ViT /8 · layer 2 · head 1 · CLS"
    return replace(Panel(name, title, "", pixels, GRID, GRID, VALUES, VALUES, **scale), **changes)


def pixels_of(png: bytes) -> np.ndarray:
    """A PNG, uint8 (height, width, 3)."""
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        return np.asarray(image)


@own_settings()
def pane_pixels(panel: Panel, view: View, opacity: float) -> np.ndarray:
    """A pane alone, uint8 (height, width, 3)."""
    sheet, (height, width) = Sheet(), view.shape
    sheet.pane(panel, view, opacity, 0, 0)
    return pixels_of(sheet.files(width, height, ("png",))["png"])
