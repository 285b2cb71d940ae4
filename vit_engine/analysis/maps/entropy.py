"""How spread out a map is."""

import math

import numpy as np

from vit_engine.trace.attention_map import AttentionMap


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
