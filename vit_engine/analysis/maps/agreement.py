"""Maps in numbers: how spread out one is, how much two agree, and where they differ."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr

from vit_engine.analysis.maps.mask import check_share, mass_mask
from vit_engine.analysis.maps.resampling import centre_of_mass, common_grid, resample
from vit_engine.errors import SpecError
from vit_engine.spec import TokenGrid
from vit_engine.trace.attention_map import AttentionMap

# As a share of what is rounded. What resampling leaves of equal values is equal; float32 has no finer differences.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Agreement:
    """How much two maps agree, on their common grid, each normalised to sum 1 over the patches.

    pearson, spearman: −1..1, over the patches that both pictures cover wholly; NaN where a map is even there.
    jsd_bits: Jensen-Shannon divergence in bits, 0 (the same) to 1 (nothing in common). iou: intersection over union, by
    area, of each map's own patches that hold the share `keep` of its mass, 0..1; NaN where both keep nothing. shift_px:
    between the centres of mass, in pixels. All are NaN where a map has no mass, or values that are not finite.
    """

    pearson: float
    spearman: float
    jsd_bits: float
    iou: float
    shift_px: float
    keep: float


def map_entropy(shown: AttentionMap) -> tuple[float, float]:
    """Entropy of a map, normalised to sum 1 over the patches: in bits, and divided by the largest possible, 0..1.

    NaNs where the map has no mass, or a value below 0 or that is not finite; 0 and 0 for a single patch.
    """
    values = shown.values.astype(np.float64).ravel()
    total = values.sum()
    if not (np.isfinite(total) and total > 0 and values.min() >= 0):
        return math.nan, math.nan
    shares = values[values > 0] / total
    bits = max(0.0, float(-(shares * np.log2(shares)).sum()))
    return bits, bits / math.log2(values.size) if values.size > 1 else 0.0


def agreement(first: AttentionMap, second: AttentionMap, *, keep: float = 0.6) -> Agreement:
    """How much two maps of one picture agree, whatever their patch sizes. Symmetric.

    keep: the share of the mass, 0..1, whose patches are compared as masks. SpecError for another share, and
    for a map with negative values.
    """
    check_share(keep)
    grid = common_grid(first.grid, second.grid)
    p, q = _distribution(first, grid), _distribution(second, grid)
    if np.isnan(p).any() or np.isnan(q).any():
        return Agreement(math.nan, math.nan, math.nan, math.nan, math.nan, keep)
    # Crops differ: in the strip that only one map has, correlations would find the same dark edge in any two maps.
    rows = min(first.grid.height, second.grid.height) // grid.patch_size
    cols = min(first.grid.width, second.grid.width) // grid.patch_size
    both = slice(rows), slice(cols)
    (y, x), (other_y, other_x) = centre_of_mass(first), centre_of_mass(second)
    return Agreement(
        pearson=_correlation(p[both], q[both]),
        spearman=_correlation(_ranks(p[both]), _ranks(q[both])),
        jsd_bits=jensen_shannon_bits(p, q),
        iou=_overlap(_kept_areas(first, grid, keep), _kept_areas(second, grid, keep)),
        shift_px=math.hypot(y - other_y, x - other_x),
        keep=keep,
    )


def difference(shown: AttentionMap, reference: AttentionMap) -> AttentionMap:
    """Where a map has more mass than the reference, and where less: on the common grid, its sum is 0.

    Each is normalised to sum 1 over the patches first, so a value is a difference of shares, −1..1. All are
    NaN where either has no mass, or values that are not finite. SpecError for negative values.
    """
    grid = common_grid(shown.grid, reference.grid)
    values = _distribution(shown, grid) - _distribution(reference, grid)
    label = f"{shown.label} − {reference.label}"
    return AttentionMap(values.astype(np.float32), grid, label, "difference of shares")


def _distribution(shown: AttentionMap, grid: TokenGrid) -> np.ndarray:
    """A map on a grid, normalised to sum 1: float64; all NaN where it has no mass, or values that are not finite."""
    values = shown.values.astype(np.float64)
    if (values < 0).any():
        raise SpecError(
            f"maps are compared as distributions, which have no values below 0; {shown.label!r} has "
            f"{np.nanmin(values):.3g}. Compare maps of attention, not differences."
        )
    total = values.sum()
    if not 0 < total < math.inf:
        return np.full(grid.shape, math.nan)
    return resample(values / total, shown.grid, grid)


def _correlation(p: np.ndarray, q: np.ndarray) -> float:
    """Pearson's; NaN where either is constant."""
    p, q = _deviations(p), _deviations(q)
    spread = math.sqrt(p @ p) * math.sqrt(q @ q)
    return float(np.clip(p @ q / spread, -1, 1)) if spread else math.nan


def _deviations(p: np.ndarray) -> np.ndarray:
    """From the mean, in one axis; zeros where they are only roundings, which correlate with nothing."""
    deviations = p.ravel() - p.mean()
    return deviations * (np.linalg.norm(deviations) > _ROUNDING * np.linalg.norm(p))


def _ranks(p: np.ndarray) -> np.ndarray:
    """Ranks in one axis, from 1, equals sharing the mean of theirs; what differs by a rounding is equal."""
    order = np.argsort(p, axis=None)
    ascending = p.ravel()[order]
    steps = np.diff(ascending) > _ROUNDING * ascending[1:]
    group = np.concatenate([[0], np.cumsum(steps)])
    sizes = np.bincount(group)
    ranks = np.empty(p.size)
    ranks[order] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def jensen_shannon_bits(p: np.ndarray, q: np.ndarray) -> float:
    """½ KL(p‖m) + ½ KL(q‖m), m = (p + q) / 2, of two distributions of one shape, in bits: 0..1."""
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.clip(nats / math.log(2), 0, 1))


def _kept_areas(shown: AttentionMap, grid: TokenGrid, keep: float) -> np.ndarray:
    """How many square pixels of each patch of a common grid belong to the map's mass mask."""
    kept = mass_mask(shown.values, keep) * float(shown.grid.patch_size**2)
    return resample(kept, shown.grid, grid)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of kept areas; NaN where nothing is kept.

    A patch of the common grid is the finer map's, which keeps all of it or nothing: both keep the smaller area.
    """
    union = np.maximum(first, second).sum()
    return float(np.minimum(first, second).sum() / union) if union else math.nan
