"""Photographs with a mask of what they are of, drawn by hand: what a model's attention is held against."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from skimage import data, draw

import vit_engine as ve


class Object(NamedTuple):
    """Something in a photograph: the photograph's name in skimage.data, and the outline, (x, y) in its pixels."""

    photograph: str
    outline: tuple[tuple[int, int], ...]

    def picture(self) -> Image.Image:
        return Image.fromarray(getattr(data, self.photograph)())


OBJECTS = {
    "astronaut": Object(
        "astronaut",
        (
            *((155, 110), (155, 60), (190, 25), (230, 15), (275, 30), (300, 70), (298, 115), (272, 140), (300, 190)),
            *((330, 250), (360, 320), (365, 350), (420, 345), (470, 375), (500, 430), (512, 480), (512, 512)),
            *((40, 512), (25, 420), (40, 310), (75, 240), (120, 190), (165, 150)),
        ),
    ),
    "head": Object(
        "astronaut",
        (
            *((155, 110), (155, 60), (190, 25), (230, 15), (275, 30), (300, 70), (298, 110), (270, 135), (258, 175)),
            *((232, 190), (195, 180), (180, 135)),
        ),
    ),
    "coffee": Object(
        "coffee",
        (
            *((185, 70), (215, 35), (285, 18), (355, 35), (400, 80), (420, 65), (424, 85), (415, 110), (460, 160)),
            *((480, 230), (465, 300), (400, 360), (320, 385), (240, 375), (150, 335), (95, 280), (78, 220), (95, 150)),
            *((140, 100), (180, 75)),
        ),
    ),
    "cat": Object(
        "chelsea",
        (
            *((30, 90), (55, 30), (95, 0), (395, 0), (400, 40), (360, 90), (360, 150), (340, 200), (300, 240)),
            *((290, 270), (255, 285), (215, 275), (150, 250), (60, 200), (40, 150)),
        ),
    ),
    "rocket": Object("rocket", ((312, 150), (322, 128), (333, 150), (335, 405), (311, 405))),
}


def coverage(outline: Object, spec: ve.ModelSpec, size: int) -> np.ndarray:
    """How much of each patch lies in the outline: (rows, cols), 0..1, as the model sees the photograph."""
    picture = outline.picture()
    mask = draw.polygon2mask((picture.height, picture.width), [(y, x) for x, y in outline.outline])
    painted = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).convert("RGB")
    prepared = ve.prepare_image(painted, spec, size=size)  # scaled and cropped as the photograph is
    grid = prepared.grid
    blocks = prepared.pixels[..., 0].reshape(grid.rows, grid.patch_size, grid.cols, grid.patch_size)
    return blocks.mean(axis=(1, 3)) / 255


def gain(values: np.ndarray, covered: np.ndarray) -> float:
    """The share of the attention that lies on an object, over the object's share of the picture."""
    return float((values * covered).sum() / values.sum() / covered.mean())
