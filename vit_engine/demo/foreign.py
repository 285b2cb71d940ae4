"""Scenes as somebody else would draw them: one plain upright shape in one colour, on plain noise.

They share only names of outlines with the training scenes: a model that only knows its own generator fails on them.
"""

import numpy as np
from PIL import Image, ImageDraw

from vit_engine.demo.scenes import Rng, Scene, Size
from vit_engine.registry.shapes import CLASSES

FOREIGN_SIZE = (160, 160)
NOISES = ("uniform", "gaussian", "grey")
SHAPE_NAMES = ("disc", "square", "triangle")
MINIMUM_CONTRAST = 60.0  # RGB units from the mean of the noise: below it the shape is hard to see at all


def draw_foreign(seed: int, noise: str, size: Size = FOREIGN_SIZE) -> Scene:
    """The foreign scene of this seed: noise is one of NOISES, size (height, width) in pixels."""
    rng = np.random.default_rng([seed, NOISES.index(noise), *size])
    ground = _ground(rng, noise, size)
    label = int(rng.integers(len(SHAPE_NAMES)))
    silhouette = _silhouette(rng, SHAPE_NAMES[label], size)
    colour = rng.integers(0, 256, 3)
    while np.linalg.norm(colour - ground.mean(axis=(0, 1))) < MINIMUM_CONTRAST:
        colour = rng.integers(0, 256, 3)
    pixels = np.where(silhouette[..., None], colour, ground).astype(np.uint8)
    index = CLASSES.index(SHAPE_NAMES[label])
    return Scene(pixels, (index,), (silhouette * (index + 1)).astype(np.uint8))


def _ground(rng: Rng, noise: str, size: Size) -> np.ndarray:
    """uniform: 0..255 in each pixel and channel. gaussian: around a random level. grey: one level, no noise."""
    if noise == "uniform":
        return rng.integers(0, 256, (*size, 3))
    level = rng.uniform(50, 205)
    spread = rng.uniform(10, 50) if noise == "gaussian" else 0.0
    return np.clip(rng.normal(level, spread, (*size, 3)), 0, 255)


def _silhouette(rng: Rng, name: str, size: Size) -> np.ndarray:
    """Boolean (height, width), true where the shape is."""
    radius = min(size) * rng.uniform(0.12, 0.25)
    y, x = (rng.uniform(radius, side - radius) for side in size)
    canvas = Image.new("1", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    box = (x - radius, y - radius, x + radius, y + radius)
    if name == "disc":
        draw.ellipse(box, fill=1)
    elif name == "square":
        draw.rectangle(box, fill=1)
    else:
        draw.polygon(((x, y - radius), (x + radius, y + radius), (x - radius, y + radius)), fill=1)
    return np.asarray(canvas)
