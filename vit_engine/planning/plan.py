"""What is asked of a model, whatever the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vit_engine.devices import named_device
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.model.blocks import PROJECTIONS
from vit_engine.model.streaming import AttentionPlan
from vit_engine.spec import ModelSpec

TOKEN = "token"
# What features() reads of a layer (Amir et al. 2021, arXiv 2112.05814), and what several of it are called.
FACETS = {TOKEN: "tokens", **dict(zip(PROJECTIONS, ("queries", "keys", "values"), strict=True))}
Layers = str | int | Sequence[int]
# What is found out about every query of a traced layer, by what attend() calls it: options of an AttentionPlan.
PRECISIONS = {"float16": torch.float16, "float32": torch.float32}  # of features that are kept
STATISTICS = {"all": ("entropy", "distance", "argmax"), "entropy": ("entropy",), "none": ()}


@dataclass(frozen=True)
class RunPlan:
    """A run of attend(), but for the picture."""

    spec: ModelSpec
    traced: frozenset[int]  # the layers that are kept
    statistics: str
    device: torch.device  # the model's, as dtype
    dtype: torch.dtype
    facet: str = ""  # what features() keeps, beside no attention; empty for a run of attend()
    precision: torch.dtype = torch.float16  # in which features() keeps it
    gradients: bool = False  # a run of differentiate() in place of attend(), beside a trace that is there

    @classmethod
    def asked(
        cls,
        spec: ModelSpec,
        *,
        layers: Layers = "all",
        statistics: str = "all",
        device: str | torch.device = "auto",
        dtype: torch.dtype = torch.float32,
        facet: str = "",
        precision: str = "float16",
        gradients: bool = False,
    ) -> "RunPlan":
        """As in attend() and features(), or gradients; SpecError for what does not exist, or not together."""
        if statistics not in STATISTICS:
            raise SpecError(f"statistics must be one of {', '.join(map(repr, STATISTICS))}; got {statistics!r}.")
        if facet:
            check_facet(facet)
        if precision not in PRECISIONS:
            raise SpecError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}; got {precision!r}.")
        if gradients and (facet or spec.layer_numbers(layers) != spec.layer_numbers("all")):
            raise SpecError("gradients are of all layers, and of no facet: leave layers= and facet= out.")
        if gradients:
            require_wide(dtype)
        traced = spec.layer_numbers(layers)
        return cls(spec, traced, statistics, named_device(device), dtype, facet, PRECISIONS[precision], gradients)

    @property
    def whole_layers(self) -> int:
        """How many layers run to their end.

        Predictions need all; else the last traced one ends in its attention, or where features() reads it.
        """
        if self.facet:
            return max(self.traced) + (self.facet == TOKEN)
        if self.gradients:
            return self.spec.depth
        return self.spec.depth if self.spec.class_names else max(self.traced)


def require_wide(dtype: torch.dtype) -> None:
    """SpecError for a model in half precision, in which gradients vanish."""
    if dtype.itemsize < 4:
        raise SpecError(f"gradients need a model in float32 or wider: half precision loses them; got {dtype}.")


def check_facet(facet: str) -> None:
    """SpecError for a facet that does not exist."""
    if facet not in FACETS:
        raise SpecError(f"facet must be one of {', '.join(map(repr, FACETS))}; got {facet!r}.")


def attention_plan(grid: TokenGrid, statistics: str) -> AttentionPlan:
    return AttentionPlan(grid, **{name: name in STATISTICS[statistics] for name in STATISTICS["all"]})
