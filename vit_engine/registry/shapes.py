"""The outlines of the demo classes, in a unit square: polygons to fill, polygons to cut out again.

Each shape is a tuple of parts drawn in order. A part is (filled, points): points are (n, 2) as
(x, y) within [-1, 1], y downwards; a part that is not filled is a hole.
"""

import numpy as np

Part = tuple[bool, np.ndarray]


def _polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def _ellipse(
    centre: tuple[float, float] = (0.0, 0.0), radii: tuple[float, float] = (1.0, 1.0), corners: int = 40
) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + centre


def _star(points: int = 5, inner: float = 0.42) -> np.ndarray:
    angles = np.pi * np.arange(2 * points) / points - np.pi / 2
    radii = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]


def _heart() -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(angles) ** 3
    y = 13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)
    return np.stack([x / 17, -(y + 2.5) / 15], axis=1)


SHAPES: dict[str, tuple[Part, ...]] = {
    "disc": ((True, _ellipse()),),
    "ring": ((True, _ellipse()), (False, _ellipse(radii=(0.55, 0.55)))),
    "square": ((True, _polygon((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8))),),
    "triangle": ((True, _polygon((0, -1), (0.92, 0.72), (-0.92, 0.72))),),
    "star": ((True, _star()),),
    "cross": (
        (True, _polygon((-0.3, -1), (0.3, -1), (0.3, 1), (-0.3, 1))),
        (True, _polygon((-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3))),
    ),
    "heart": ((True, _heart()),),
    "fish": (
        (True, _ellipse((-0.2, 0.0), (0.75, 0.48))),
        (True, _polygon((0.35, 0), (1.0, -0.55), (0.85, 0), (1.0, 0.55))),
        (False, _ellipse((-0.6, -0.12), (0.09, 0.09), 12)),
    ),
    "tree": (
        (True, _polygon((0, -1), (0.5, -0.3), (-0.5, -0.3))),
        (True, _polygon((0, -0.65), (0.68, 0.2), (-0.68, 0.2))),
        (True, _polygon((0, -0.2), (0.85, 0.65), (-0.85, 0.65))),
        (True, _polygon((-0.15, 0.6), (0.15, 0.6), (0.15, 1), (-0.15, 1))),
    ),
    "house": (
        (True, _polygon((-0.7, -0.15), (0.7, -0.15), (0.7, 0.85), (-0.7, 0.85))),
        (True, _polygon((0, -0.95), (0.95, -0.1), (-0.95, -0.1))),
        (False, _polygon((-0.18, 0.35), (0.18, 0.35), (0.18, 0.85), (-0.18, 0.85))),
    ),
    "moon": ((True, _ellipse()), (False, _ellipse((0.45, -0.1), (0.8, 0.8)))),
    "arrow": (
        (True, _polygon((-1, -0.24), (0.2, -0.24), (0.2, 0.24), (-1, 0.24))),
        (True, _polygon((0.1, -0.75), (1, 0), (0.1, 0.75))),
    ),
}

CLASSES: tuple[str, ...] = tuple(SHAPES)
