"""Maps in numbers: how spread out one is, how much two agree, and where they differ.

What two maps compare by follows from what they are, not from the values that they happen to have: from their Quantity,
and whether they are signed. Shares of attention are distributions: all numbers apply. Of a map that is none, an
intensive or a signed one, there are correlations alone, also where no value is below 0. A fitted map compares with
nothing.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr

from vit_engine.analysis.maps.mask import check_share, mass_mask
from vit_engine.analysis.maps.resampling import centre_of_mass, common_grid, resample
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap, Quantity

# As a share of what is rounded. What resampling leaves of equal values is equal; float32 has no finer differences.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Agreement:
    """How much two maps agree, on their common grid, distributions normalised to sum 1 over the patches.

    pearson, spearman: −1..1, over the patches that both pictures cover wholly; NaN where a map is even there, and where
    one is fitted to itself. The others are of distributions: NaN where a map is intensive, signed or below 0 somewhere.
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

    NaNs where the map has no mass, a value that is not finite, or is no distribution: intensive, fitted, signed or
    somewhere below 0. 0 and 0 for a single patch.
    """
    if not shown.is_distribution:
        return math.nan, math.nan
    values = shown.values.astype(np.float64).ravel()
    total = values.sum()
    if not (np.isfinite(total) and total > 0):
        return math.nan, math.nan
    shares = values[values > 0] / total
    bits = max(0.0, float(-(shares * np.log2(shares)).sum()))
    return bits, bits / math.log2(values.size) if values.size > 1 else 0.0


def agreement(first: AttentionMap, second: AttentionMap, *, keep: float = 0.6) -> Agreement:
    """How much two maps of one picture agree, whatever their patch sizes. Symmetric.

    keep: the share of the mass, 0..1, whose patches are compared as masks. SpecError for another share.
    """
    check_share(keep)
    grid = common_grid(first.grid, second.grid)
    p, q = _resampled(first, grid), _resampled(second, grid)
    if Quantity.FITTED in (first.quantity, second.quantity) or not (_usable(p) and _usable(q)):
        return Agreement(math.nan, math.nan, math.nan, math.nan, math.nan, keep)
    # Crops differ: in the strip that only one map has, correlations would find the same dark edge in any two maps.
    rows = min(first.grid.height, second.grid.height) // grid.patch_size
    cols = min(first.grid.width, second.grid.width) // grid.patch_size
    both = slice(rows), slice(cols)
    correlations = _correlation(p[both], q[both]), _correlation(_ranks(p[both]), _ranks(q[both]))
    if not (first.is_distribution and second.is_distribution):
        return Agreement(*correlations, math.nan, math.nan, math.nan, keep)
    (y, x), (other_y, other_x) = centre_of_mass(first), centre_of_mass(second)
    return Agreement(
        *correlations,
        jsd_bits=jensen_shannon_bits(p, q),
        iou=_overlap(_kept_areas(first, grid, keep), _kept_areas(second, grid, keep)),
        shift_px=math.hypot(y - other_y, x - other_x),
        keep=keep,
    )


def difference(shown: AttentionMap, reference: AttentionMap) -> AttentionMap:
    """Where a map has more than the reference, and where less, on their common grid.

    Distributions are normalised to sum 1 over the patches first, so a value is a difference of shares, −1..1, and their
    sum is 0; all are NaN where either has no mass, or values that are not finite. Of maps of one unit of which one is
    signed, or below 0 somewhere, it is the plain difference of what lies on each patch; of intensive maps of one unit
    too, NaN where only one has patches. SpecError for other maps, as no_difference() has it.
    """
    if problem := no_difference(shown, reference):
        raise SpecError(f"{shown.label!r} and {reference.label!r} have no difference: {problem}.")
    grid = common_grid(shown.grid, reference.grid)
    shares = shown.is_distribution and reference.is_distribution
    values = _resampled(shown, grid, shares=shares) - _resampled(reference, grid, shares=shares)
    unit = "difference of shares" if shares else f"difference of {shown.unit}"
    label = f"{shown.label} − {reference.label}"
    return AttentionMap(values.astype(np.float32), grid, label, unit, shown.quantity, signed=True)


def no_difference(shown: AttentionMap, reference: AttentionMap) -> str:
    """Why two maps cannot be subtracted, in few words; empty where they can."""
    pair = shown, reference
    if any(one.quantity is Quantity.FITTED for one in pair):
        return "principal components are shown as colours"
    if shown.quantity is not reference.quantity or (
        shown.quantity is Quantity.INTENSIVE and shown.unit != reference.unit
    ):
        return f"{shown.unit} and {reference.unit} are different quantities"
    if shown.unit != reference.unit and not all(one.is_distribution for one in pair):
        return "maps of two units are subtracted as distributions, and a signed map is none"
    return ""


def _usable(values: np.ndarray) -> bool:
    """Whether a resampled map has any numbers."""
    return not np.isnan(values).all()


def _resampled(shown: AttentionMap, grid: TokenGrid, *, shares: bool = True) -> np.ndarray:
    """A map on a grid: float64. All NaN where a value is not finite, or where a distribution has no mass.

    Of an extensive map mass is shared out by area: normalised to sum 1, or, where it is no distribution or no
    shares are wanted, as it is. Of any other each value is the mean over the area that has patches; NaN where none has.
    """
    values = shown.values.astype(np.float64)
    total = values.sum() if shares and shown.is_distribution else 1.0
    if not (np.isfinite(values).all() and 0 < total < math.inf):
        return np.full(grid.shape, math.nan)
    if shown.quantity is Quantity.EXTENSIVE:
        return resample(values / total, shown.grid, grid)
    covered = resample(np.ones(shown.grid.shape), shown.grid, grid)
    summed = resample(values, shown.grid, grid)
    return np.divide(summed, covered, out=np.full(grid.shape, math.nan), where=covered > _ROUNDING)


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
    steps = np.diff(ascending) > _ROUNDING * np.abs(ascending[1:])
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
