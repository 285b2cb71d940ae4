"""Mass masks: the patches that hold a share of a map's mass (DINO, visualize_attention.py --threshold)."""

import numpy as np

from vit_engine.errors import SpecError


def mass_mask(values: np.ndarray, keep: float) -> np.ndarray:
    """The smallest set of largest values that holds at least `keep` (0..1) of the mass: bool, of the values' shape.

    Values equal to the smallest of them are kept too, so that no order among equals matters. keep = 0
    keeps nothing, keep = 1 everything; without mass nothing is kept below 1. SpecError for a share
    outside 0..1, or for values that are negative or not finite.
    """
    if not 0 <= keep <= 1:
        raise SpecError(f"the share of the mass to keep must be in 0..1; got {keep}.")
    if not np.isfinite(values).all() or (values < 0).any():
        raise SpecError("a mass mask needs values that are finite and not negative.")
    if keep == 1:
        return np.ones(values.shape, dtype=bool)
    descending = np.sort(values.astype(np.float64), axis=None)[::-1]
    held = np.cumsum(descending)
    if keep == 0 or held[-1] == 0:
        return np.zeros(values.shape, dtype=bool)
    # A share such as 0.6 of sums such as 0.1 + 0.2 + 0.3 must not fail by a rounding.
    smallest = descending[np.searchsorted(held, keep * held[-1] * (1 - 1e-9))]
    return np.asarray(values.astype(np.float64) >= smallest)


def contours(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """The outlines of a mask (rows, cols): each float64 (points, 2) of (row, col), patch middles at whole numbers.

    Outlines close, also at the picture's edge, and run half-way between patches inside and outside.
    From scikit-image's marching squares.
    """
    from skimage.measure import find_contours  # noqa: PLC0415  (slow to import, and only masks need it)

    padded = np.pad(mask.astype(np.float64), 1)
    return tuple(outline - 1 for outline in find_contours(padded, 0.5))
