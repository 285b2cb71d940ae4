"""How much two maps agree, in numbers, and where they differ."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import rel_entr
from scipy.stats import rankdata

from vit_engine.errors import SpecError
from vit_engine.maps.attention_map import AttentionMap
from vit_engine.maps.mask import mass_mask
from vit_engine.maps.resampling import centre_of_mass, common_grid, resample


@dataclass(frozen=True)
class Agreement:
    """How much two maps agree, on their common grid, each normalised to sum 1 over the patches.

    pearson, spearman: −1..1, NaN where a map is even. jsd_bits: Jensen-Shannon divergence in bits, 0 (the
    same) to 1 (nothing in common). iou: intersection over union of the patches that hold the share `keep`
    of each map's mass, 0..1; NaN where both are empty. shift_px: between the centres of mass, in pixels.
    """

    pearson: float
    spearman: float
    jsd_bits: float
    iou: float
    shift_px: float
    keep: float


def agreement(first: AttentionMap, second: AttentionMap, *, keep: float = 0.6) -> Agreement:
    """How much two maps of one picture agree, whatever their patch sizes. Symmetric.

    keep: the share of the mass, 0..1, whose patches are compared as masks. SpecError for a map without mass
    or with negative values, which is no distribution.
    """
    p, q = (_distribution(shown, first, second) for shown in (first, second))
    (y, x), (other_y, other_x) = centre_of_mass(first), centre_of_mass(second)
    return Agreement(
        pearson=_correlation(p, q),
        spearman=_correlation(_ranks(p), _ranks(q)),
        jsd_bits=jensen_shannon_bits(p, q),
        iou=_overlap(mass_mask(p, keep), mass_mask(q, keep)),
        shift_px=math.hypot(y - other_y, x - other_x),
        keep=keep,
    )


def difference(shown: AttentionMap, reference: AttentionMap) -> AttentionMap:
    """Where a map has more mass than the reference, and where less: on the common grid, its sum is 0.

    Each is normalised to sum 1 over the patches first, so a value is a difference of shares, −1..1.
    SpecError as for agreement().
    """
    grid = common_grid(shown.grid, reference.grid)
    values = _distribution(shown, shown, reference) - _distribution(reference, shown, reference)
    label = f"{shown.label} − {reference.label}"
    return AttentionMap(values.astype(np.float32), grid, label, "difference of shares")


def _distribution(shown: AttentionMap, *pair: AttentionMap) -> np.ndarray:
    """A map on the common grid of a pair, normalised to sum 1: float64."""
    values = shown.values.astype(np.float64)
    total = values.sum()
    if not (np.isfinite(total) and total > 0) or values.min() < 0:
        raise SpecError(f"maps are compared as distributions, which have mass and nothing below 0: {shown.label!r}.")
    return resample(values / total, shown.grid, common_grid(*(one.grid for one in pair)))


def _correlation(p: np.ndarray, q: np.ndarray) -> float:
    """Pearson's; NaN where either is constant."""
    p, q = p.ravel() - p.mean(), q.ravel() - q.mean()
    spread = math.sqrt((p @ p) * (q @ q))
    # What resampling leaves of an even map is roundings, which correlate with nothing.
    return float(np.clip(p @ q / spread, -1, 1)) if spread > 1e-24 else math.nan


def jensen_shannon_bits(p: np.ndarray, q: np.ndarray) -> float:
    """½ KL(p‖m) + ½ KL(q‖m), m = (p + q) / 2, of two distributions of one shape, in bits: 0..1."""
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.clip(nats / math.log(2), 0, 1))


def _ranks(p: np.ndarray) -> np.ndarray:
    """Ranks, equals sharing theirs; what differs by a rounding of the resampling is equal."""
    return rankdata(np.round(p / p.max(), 12))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else math.nan
