"""Maps of attention over a picture's patches: bringing them to a common grid, masking and comparing them."""

from vit_engine.maps.agreement import Agreement, agreement, difference
from vit_engine.maps.attention_map import AttentionMap
from vit_engine.maps.mask import contours, mass_mask
from vit_engine.maps.resampling import centre_of_mass, common_grid, resample

__all__ = [
    "Agreement",
    "AttentionMap",
    "agreement",
    "centre_of_mass",
    "common_grid",
    "contours",
    "difference",
    "mass_mask",
    "resample",
]
