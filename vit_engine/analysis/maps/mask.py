"""Mass masks: the patches that hold a share of a map's mass (DINO, visualize_attention.py --threshold)."""

import numpy as np

from vit_engine.errors import SpecError

_ROUNDING = 1e-9  # as a share of what is rounded: far above what float64 leaves, far below a step of float32
FINE = 4  # cells a side of a patch, where outlines are traced


def mass_mask(values: np.ndarray, keep: float) -> np.ndarray:
    """The smallest set of largest values that holds at least `keep` (0..1) of the mass: bool, of the values' shape.

    Values equal to the smallest of them, but for a rounding, are kept too. keep = 0 keeps nothing, keep = 1 everything;
    below 1 nothing is kept of values without mass or with a NaN. SpecError for another share, or for values that are
    negative or infinite.
    """
    check_share(keep)
    if (values < 0).any() or np.isinf(values).any():
        raise SpecError(
            "a mass mask needs values that are finite and not negative; "
            f"got {np.nanmin(values):.3g} to {np.nanmax(values):.3g}."
        )
    if keep == 1:
        return np.ones(values.shape, dtype=bool)
    masses = values.astype(np.float64)
    descending = np.sort(masses, axis=None)[::-1]
    held = np.cumsum(descending)
    if keep == 0 or not held[-1] > 0:
        return np.zeros(values.shape, dtype=bool)
    # A share such as 0.6 of sums such as 0.1 + 0.2 + 0.3 must not fail by a rounding; nor must equals.
    smallest = descending[np.searchsorted(held, keep * held[-1] * (1 - _ROUNDING))]
    return np.asarray(masses >= smallest * (1 - _ROUNDING))


def check_share(keep: float) -> None:
    if not 0 <= keep <= 1:
        raise SpecError(f"the share of the mass to keep must be in 0..1; got {keep}.")


def contours(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """The outlines of a mask (rows, cols): each float64 (points, 2) of (row, col), patch middles at whole numbers.

    They close, also at the picture's edge, and run along edges of patches, whose corners are cut by an eighth.
    """
    from skimage.measure import find_contours  # noqa: PLC0415  (slow to import, and only masks need it)

    fine = np.pad(np.kron(mask, np.ones((FINE, FINE))), 1)
    return tuple((_corners(outline) - 0.5) / FINE - 0.5 for outline in find_contours(fine, 0.5))


def _corners(outline: np.ndarray) -> np.ndarray:
    """A closed outline (points, 2) without the points in the middle of straight lines."""
    steps = np.diff(outline, axis=0)
    before = np.roll(steps, 1, axis=0)
    turns = steps[:, 0] * before[:, 1] != steps[:, 1] * before[:, 0]
    corners = outline[:-1][turns]
    return np.concatenate([corners, corners[:1]])
