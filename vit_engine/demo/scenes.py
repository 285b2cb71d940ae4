"""Generated scenes: one or two objects on a textured ground with clutter, from a seed alone.

The demo models learn from these, and the dashboard offers some as samples. Attention is scored against their masks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vit_engine.registry.shapes import CLASSES, SHAPES

Rng = np.random.Generator
Size = tuple[int, int]

MINIMUM_CONTRAST = 90.0  # RGB units between an object and the ground that it covers
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it."""

    pixels: np.ndarray  # uint8 (height, width, 3)
    labels: tuple[int, ...]  # class indices into CLASSES, ascending, no repeats
    mask: np.ndarray  # uint8 (height, width); 0 where there is ground, class index + 1 where there is an object

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(CLASSES[label] for label in self.labels)

    @property
    def objects(self) -> np.ndarray:
        """Where there is an object: bool (height, width), for pointing() once fit_mask() has scaled it."""
        return self.mask > 0


def draw_scene(seed: int, size: Size = (128, 128)) -> Scene:
    """The scene of this seed: always the same for the same seed and size (height, width) in pixels."""
    rng = np.random.default_rng([seed, *size])
    picture = _clutter(rng, _ground(rng, size))
    mask = np.zeros(size, dtype=np.uint8)
    labels = []
    for centre, radius in _places(rng, size):
        label = int(rng.choice([index for index in range(len(CLASSES)) if index not in labels]))
        coverage = _silhouette(rng, label, centre, radius, size)
        picture = _paint(rng, picture, coverage)
        mask[coverage > 0.5] = label + 1
        labels.append(label)
    if rng.random() < 0.5:
        picture = picture + rng.normal(0, rng.uniform(1, 10), picture.shape)
    return Scene(np.clip(picture, 0, 255).astype(np.uint8), tuple(sorted(labels)), mask)


def _colour(rng: Rng) -> np.ndarray:
    """Any colour, from grey to fully saturated."""
    colour = rng.uniform(0, 255, 3)
    return colour.mean() + (colour - colour.mean()) * rng.uniform(0, 1) ** 0.5


def _clouds(rng: Rng, size: Size) -> np.ndarray:
    cells = rng.integers(2, 10)
    coarse = Image.fromarray(rng.uniform(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _gradient(rng: Rng, size: Size) -> np.ndarray:
    return np.clip(0.5 + _ramp(rng, size) / 2, 0, 1)


def _stripes(rng: Rng, size: Size) -> np.ndarray:
    wave = np.sin(_ramp(rng, size) * rng.uniform(3, 24))
    return (wave > 0).astype(np.float32) if rng.random() < 0.5 else (wave + 1) / 2


def _checks(rng: Rng, size: Size) -> np.ndarray:
    frequency = rng.uniform(3, 16)
    return ((np.sin(_ramp(rng, size) * frequency) > 0) ^ (np.sin(_ramp(rng, size) * frequency) > 0)) * 1.0


def _plain(_rng: Rng, size: Size) -> np.ndarray:
    return np.zeros(size, dtype=np.float32)


def _ramp(rng: Rng, size: Size) -> np.ndarray:
    """A plane through the middle of the picture in a random direction, about -1 to 1 across it."""
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None, :]
    return np.cos(angle) * x + np.sin(angle) * y


GROUNDS: tuple[Callable[[Rng, Size], np.ndarray], ...] = (_clouds, _clouds, _gradient, _stripes, _checks, _plain)


def _ground(rng: Rng, size: Size) -> np.ndarray:
    """A texture between two colours that are not far apart, sometimes under heavy pixel noise."""
    base = _colour(rng)
    other = base + rng.normal(0, 1, 3) * rng.uniform(8, 45)
    texture = GROUNDS[rng.integers(len(GROUNDS))](rng, size)[..., None]
    picture = base + (other - base) * texture
    if rng.random() < 0.3:
        channels = 3 if rng.random() < 0.6 else 1
        picture = picture + rng.normal(0, rng.uniform(8, 70), (*size, channels))
    return np.clip(picture, 0, 255).astype(np.float32)


def _clutter(rng: Rng, picture: np.ndarray) -> np.ndarray:
    """Faint blobs, thin strokes and small dots: contrast that is not an object."""
    height, width = picture.shape[:2]
    side = min(height, width)
    blobs = Image.new("L", (width, height))
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, down = rng.uniform(0.05, 0.3, 2) * side
        ImageDraw.Draw(blobs).ellipse((x - across, y - down, x + across, y + down), fill=255)
    shade = rng.normal(0, 1, 3).astype(np.float32) * 14
    picture = np.clip(picture + np.asarray(blobs, dtype=np.float32)[..., None] / 255 * shade, 0, 255)
    ground, canvas = picture.mean(axis=(0, 1)), Image.fromarray(picture.astype(np.uint8))
    draw = ImageDraw.Draw(canvas)

    def ink() -> tuple[int, ...]:
        return tuple(int(value) for value in np.clip(ground + rng.normal(0, 60, 3), 0, 255))

    for _ in range(rng.integers(0, 6)):
        ends = rng.uniform(0, 1, 4) * (width, height, width, height)
        draw.line(tuple(ends), fill=ink(), width=max(1, round(side * rng.uniform(0.004, 0.018))))
    for _ in range(rng.integers(0, 9)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = side * rng.uniform(0.006, 0.026)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink())
    return np.asarray(canvas, dtype=np.float32)


def _places(rng: Rng, size: Size) -> list[tuple[np.ndarray, float]]:
    """Centres (x, y) and radii in pixels of one or two objects that do not touch."""
    side = min(size)
    places: list[tuple[np.ndarray, float]] = []
    wanted = 1 if rng.random() < 0.5 else 2
    for _ in range(30):
        radius = side * rng.uniform(0.12, 0.28)
        centre = rng.uniform(radius, np.array([size[1], size[0]]) - radius)
        if all(np.linalg.norm(centre - other) > radius + taken for other, taken in places):
            places.append((centre, radius))
        if len(places) == wanted:
            break
    return places


def _silhouette(rng: Rng, label: int, centre: np.ndarray, radius: float, size: Size) -> np.ndarray:
    """Coverage (height, width) in 0..1 of one object, turned and slightly stretched at random."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    stretch = radius * rng.uniform(0.85, 1.0, 2)
    canvas = Image.new("L", (size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    for filled, points in SHAPES[CLASSES[label]]:
        placed = ((points * stretch) @ turn + centre) * SUPERSAMPLING
        draw.polygon([tuple(point) for point in placed], fill=255 if filled else 0)
    return np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) / 255


def _paint(rng: Rng, picture: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Lay an object over the picture in a colour that stands off from the ground under it."""
    inside = coverage > 0.5
    ground = picture[inside].mean(axis=0) if inside.any() else np.zeros(3)
    colour = _colour(rng)
    while np.linalg.norm(colour - ground) < MINIMUM_CONTRAST:
        colour = _colour(rng)
    fill: np.ndarray = np.broadcast_to(colour.astype(np.float32), picture.shape)
    if rng.random() < 0.5:
        size = picture.shape[:2]
        texture = GROUNDS[rng.integers(len(GROUNDS))](rng, size)[..., None] - 0.5
        fill = fill + texture * (rng.normal(0, 1, 3) * rng.uniform(5, 25)).astype(np.float32)
    return picture + (fill - picture) * coverage[..., None]
