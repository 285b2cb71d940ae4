"""A map of attention over a picture's patches, and how the maps of all heads become one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace.targets import Target

REDUCTIONS: dict[str, Callable[..., Tensor]] = {"mean": Tensor.mean, "max": Tensor.amax, "min": Tensor.amin}
WEIGHT = "attention weight"


class Quantity(Enum):
    """What a map's values are, which says how they go to other patch sizes and what two maps compare by."""

    EXTENSIVE = "extensive"  # of the whole patch, as attention weights: half a patch has half of it
    INTENSIVE = "intensive"  # the same in each part of the patch, as a similarity: it has no mass
    FITTED = "fitted"  # along an axis that is fitted to the map itself, as a principal component: compares with nothing


@dataclass(frozen=True)
class AttentionMap:
    """One value a patch.

    values: float32 (rows, cols). label: what is shown, in words. unit: of the values. quantity: what they are. target:
    what it explains, of a method that explains one. signed: whether values may be below 0, as those of a method that
    counts for and against, even where none is here.
    """

    values: np.ndarray = field(repr=False)
    grid: TokenGrid
    label: str
    unit: str = WEIGHT
    quantity: Quantity = Quantity.EXTENSIVE
    target: Target | None = None
    signed: bool = False

    @property
    def is_distribution(self) -> bool:
        """Whether its values are shares of a mass: of an extensive map that is not signed, and nowhere below 0."""
        return self.quantity is Quantity.EXTENSIVE and not self.signed and not (self.values < 0).any()

    def __post_init__(self) -> None:
        shape, dtype = self.values.shape, self.values.dtype
        if shape != self.grid.shape or dtype != np.float32:
            raise SpecError(f"an attention map needs float32 values of shape {self.grid.shape}; got {dtype} {shape}.")


def reduce_heads(maps: np.ndarray, head: int | str, spec: ModelSpec) -> np.ndarray:
    """One map (rows, cols) of those of all heads (heads, rows, cols); SpecError for a head that there is not."""
    if (number := head_number(head, spec)) is not None:
        return maps[number]
    return REDUCTIONS[str(head)](torch.from_numpy(maps), dim=0).numpy()


def head_number(head: int | str, spec: ModelSpec) -> int | None:
    """The number of one head, None for a reduction of all; SpecError for a head that there is not."""
    if isinstance(head, str) and head in REDUCTIONS:
        return None
    if isinstance(head, bool) or not isinstance(head, Integral) or not 0 <= head < spec.heads:
        raise SpecError(
            f"head must be in 0..{spec.heads - 1} or one of {', '.join(REDUCTIONS)} for {spec.name!r}; got {head!r}."
        )
    return int(head)


def is_share(unit: str) -> bool:
    """Whether values of this unit are shares of a whole, which are written in per cent."""
    return unit.endswith((" weight", " shares")) or unit.startswith("share of ")
