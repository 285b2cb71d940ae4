"""Endless batches of fresh scenes, the same for the same seed however often training is resumed."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vit_engine import image
from vit_engine.demo.scenes import Scene, Size, draw_scene
from vit_engine.registry.shapes import CLASSES
from vit_engine.spec import Preprocessing

TRAINING_SEED = 1_000_000  # scenes below this seed are never trained on
FRESH_SHARE = 0.25  # of a batch is drawn anew, the rest comes turned and recoloured from the window
WINDOW_BATCHES = 12


class Batch(NamedTuple):
    images: Tensor  # (B, 3, height, width), normalised
    labels: Tensor  # (B, classes), summing to 1
    patches: Tensor  # (B, rows * cols, 1 + classes): the share of each patch that is ground, then each class


def normalise(pixels: np.ndarray) -> Tensor:
    """uint8 (..., height, width, 3) to float32 (..., 3, height, width), as the demo models want it."""
    return image.normalise(pixels, Preprocessing())


def patch_shares(masks: np.ndarray, patch_size: int) -> Tensor:
    """Label masks uint8 (B, height, width) to shares (B, rows * cols, 1 + classes) of every patch."""
    labels = torch.from_numpy(masks.astype(np.int64))
    one_hot = functional.one_hot(labels, 1 + len(CLASSES)).permute(0, 3, 1, 2).float()
    return functional.avg_pool2d(one_hot, patch_size).flatten(2).mT


class SceneStream:
    """Batches of one size: scenes from a window of seeds that slides on with every batch."""

    def __init__(self, seed: int, size: Size, patch_size: int) -> None:
        self.seed, self.size, self.patch_size = seed, size, patch_size
        first = TRAINING_SEED * (1 + seed)
        self._scene = lru_cache(maxsize=2 * WINDOW_BATCHES * 32)(lambda number: draw_scene(first + number, size))

    def batch(self, step: int, count: int) -> Batch:
        rng = np.random.default_rng([self.seed, step, *self.size])
        fresh = max(1, int(count * FRESH_SHARE))
        window = WINDOW_BATCHES * fresh
        seeds = step * fresh + rng.choice(window, count, replace=count > window)
        scenes = [self._scene(int(seed)) for seed in seeds]
        pixels, masks = zip(*(_augment(rng, scene) for scene in scenes), strict=True)
        if rng.random() < 0.5 and self.size[0] != self.size[1]:
            pixels, masks = [p.swapaxes(0, 1) for p in pixels], [m.T for m in masks]
        labels = torch.zeros(count, len(CLASSES))
        for row, scene in enumerate(scenes):
            labels[row, list(scene.labels)] = 1 / len(scene.labels)
        return Batch(normalise(np.stack(pixels)), labels, patch_shares(np.stack(masks), self.patch_size))


def _augment(rng: np.random.Generator, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """A scene flipped, half turned (or quarter turned if square), with its channels permuted or inverted."""
    pixels, mask = scene.pixels[..., rng.permutation(3)], scene.mask
    if rng.random() < 0.3:
        pixels = 255 - pixels
    turns = int(rng.integers(4)) if mask.shape[0] == mask.shape[1] else 2 * int(rng.integers(2))
    pixels, mask = np.rot90(pixels, turns), np.rot90(mask, turns)
    if rng.random() < 0.5:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    return pixels, mask
