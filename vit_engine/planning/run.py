"""What is asked of a model, whatever the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vit_engine.devices import named_device
from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec, TokenGrid
from vit_engine.streaming import AttentionPlan

Layers = str | int | Sequence[int]
STATISTICS = {"all": (True, True), "entropy": (True, False), "none": (False, False)}  # (entropy, distance)


@dataclass(frozen=True)
class Run:
    """A run of attend(), but for the picture. traced: how many layers are kept. device, dtype: the model's."""

    spec: ModelSpec
    traced: int
    statistics: str
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def asked(
        cls, spec: ModelSpec, *, layers: Layers, statistics: str, device: str | torch.device, dtype: torch.dtype
    ) -> "Run":
        """As in attend(); SpecError for layers, statistics or a device that do not exist."""
        if statistics not in STATISTICS:
            raise SpecError(f"statistics must be one of {', '.join(map(repr, STATISTICS))}; got {statistics!r}.")
        return cls(spec, len(spec.layer_numbers(layers)), statistics, named_device(device), dtype)


def attention_plan(grid: TokenGrid, statistics: str) -> AttentionPlan:
    """What to find out about a traced layer."""
    entropy, distance = STATISTICS[statistics]
    return AttentionPlan(grid, entropy=entropy, distance=distance)
