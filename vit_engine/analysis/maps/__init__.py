"""Maps of attention over a picture's patches: bringing them to a common grid, masking and comparing them."""

from vit_engine.analysis.maps.agreement import Agreement, agreement, difference
from vit_engine.analysis.maps.mask import contours, mass_mask
from vit_engine.analysis.maps.resampling import centre_of_mass, common_grid, resample

__all__ = [
    "Agreement",
    "agreement",
    "centre_of_mass",
    "common_grid",
    "contours",
    "difference",
    "mass_mask",
    "resample",
]
