"""What is asked of a model, whatever the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vit_engine.devices import named_device
from vit_engine.errors import SpecError
from vit_engine.model.streaming import AttentionPlan
from vit_engine.spec import ModelSpec, TokenGrid

Layers = str | int | Sequence[int]
# What is found out about every query of a traced layer, by what attend() calls it: options of an AttentionPlan.
STATISTICS = {"all": ("entropy", "distance", "argmax"), "entropy": ("entropy",), "none": ()}


@dataclass(frozen=True)
class RunPlan:
    """A run of attend(), but for the picture."""

    spec: ModelSpec
    traced: frozenset[int]  # the layers that are kept
    statistics: str
    device: torch.device  # the model's, as dtype
    dtype: torch.dtype

    @classmethod
    def asked(
        cls,
        spec: ModelSpec,
        *,
        layers: Layers = "all",
        statistics: str = "all",
        device: str | torch.device = "auto",
        dtype: torch.dtype = torch.float32,
    ) -> "RunPlan":
        """As in attend(); SpecError for layers, statistics or a device that do not exist."""
        if statistics not in STATISTICS:
            raise SpecError(f"statistics must be one of {', '.join(map(repr, STATISTICS))}; got {statistics!r}.")
        return cls(spec, spec.layer_numbers(layers), statistics, named_device(device), dtype)

    @property
    def whole_layers(self) -> int:
        """How many layers run to their end. Predictions need all; else the last traced one ends in its attention."""
        return self.spec.depth if self.spec.class_names else max(self.traced)


def attention_plan(grid: TokenGrid, statistics: str) -> AttentionPlan:
    return AttentionPlan(grid, **{name: name in STATISTICS[statistics] for name in STATISTICS["all"]})
