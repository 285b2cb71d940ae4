"""A map of attention over a picture's patches."""

from dataclasses import dataclass

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.spec import TokenGrid


@dataclass(frozen=True)
class AttentionMap:
    """One value a patch.

    values: float32 (rows, cols). label: what is shown, in words. unit: of the values.
    """

    values: np.ndarray
    grid: TokenGrid
    label: str
    unit: str = "attention weight"

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape or self.values.dtype != np.float32:
            raise SpecError(
                f"an attention map needs float32 values of shape {self.grid.shape}; "
                f"got {self.values.dtype} {self.values.shape}."
            )
