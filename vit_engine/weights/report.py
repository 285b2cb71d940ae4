"""What came of loading a model."""

from dataclasses import dataclass, field

import torch

from vit_engine.model import VisionTransformer
from vit_engine.spec import ModelSpec


@dataclass(frozen=True)
class LoadReport:
    """Where weights came from and what was done with every tensor.

    source: a path, or "random (seed N)". format: "safetensors", "torch" or "random". sha256: of the
    file; None for random weights. matched: parameters taken as they were. converted: (key in the
    file, parameter) of those renamed. dropped: (key in the file, why) of those left out on purpose.
    missing: parameters that the file lacks; loading fails if there are any.
    """

    source: str
    format: str
    sha256: str | None
    matched: tuple[str, ...] = ()
    converted: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def random(self) -> bool:
        """Whether the weights are random."""
        return self.format == "random"

    def __str__(self) -> str:
        if self.random:
            return f"random weights from {self.source}"
        return (
            f"{self.source} ({self.format}, sha256 {(self.sha256 or '')[:12]}…): {len(self.matched)} tensors matched, "
            f"{len(self.converted)} renamed, {len(self.dropped)} dropped"
        )


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, frozen and in eval mode; safe to share between threads."""

    spec: ModelSpec
    model: VisionTransformer = field(repr=False)
    report: LoadReport

    @property
    def device(self) -> torch.device:
        return self.model.cls_token.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.cls_token.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all parameters."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())
