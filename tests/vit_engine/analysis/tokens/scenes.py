"""Two pictures with the same object at different places, cut out of a generated scene."""

import numpy as np

from vit_engine.demo.scenes import draw_scene

HEIGHT, WIDTH, BOX = 128, 160, 64  # pixels
FIRST, SECOND = (16, 16), (48, 80)  # of the object's box, top and left


def same_object_twice(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (HEIGHT, WIDTH, 3) each; apart from the object there is noise, another one in each picture."""
    scene = draw_scene(seed, (HEIGHT, HEIGHT))
    y, x = (places.mean() for places in np.nonzero(scene.mask == scene.labels[0] + 1))
    top, left = (min(max(int(middle) - BOX // 2, 0), HEIGHT - BOX) for middle in (y, x))
    box, noise = scene.pixels[top : top + BOX, left : left + BOX], np.random.default_rng(seed)
    pictures = noise.integers(100, 156, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for picture, (top, left) in zip(pictures, (FIRST, SECOND), strict=True):
        picture[top : top + BOX, left : left + BOX] = box
    return pictures[0], pictures[1]


def inside(patches: np.ndarray, corner: tuple[int, int], patch_size: int) -> np.ndarray:
    """Which of these patches (n, 2) lie in the object's box."""
    offset = patches * patch_size - corner
    return ((offset >= 0) & (offset < BOX)).all(axis=1)
