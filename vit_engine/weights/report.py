"""What came of loading a model, or of proving that it can be loaded."""

from dataclasses import dataclass, field

import torch

from vit_engine.model import VisionTransformer
from vit_engine.spec import ModelSpec
from vit_engine.weights.origin import Origin


@dataclass(frozen=True)
class LoadReport:
    """Where weights came from and what was done with every tensor.

    source: a path, "random (seed N)", or of a module such as "timm VisionTransformer in memory". format: a name in
    vit_engine.weights.formats, or "random". container: "safetensors", "torch", "onnx" or "module"; empty for random
    weights. sha256: of the file, or of all shards one after another; of a module, of its tensors' names, types, shapes
    and values; None for random weights. matched: parameters taken as they were. converted: (key in the file, parameter
    that it went into) of those renamed or changed. dropped: (key in the file, why) of those left out on purpose, and
    (what else is in the file, why) of all that is no part of the state dict. missing: parameters that the file lacks;
    loading fails if there are any. heads_from: what says how many heads there are, in words. native_grid: patches
    (rows, cols) that the position embedding is of; pictures of any other grid have it resampled in the way named by
    resampling. None and empty where positions are rotary, which are reckoned anew for every grid. assumed: what nothing
    says and was taken from the published models of this format, a sentence each. part: of the file, in which the
    tensors are, as it stands after '#' in a path ("teacher"); their keys are those within it. Empty where the file
    itself is a state dict. dtypes: (type in the file, tensors of it) of the tensors that were taken; the model has
    float32. seed: of random weights; None for others. verified: of a module, how well the model agrees with it, which
    both were run for; empty where that could not be done, and of all that is no module.
    """

    source: str
    format: str
    sha256: str | None
    matched: tuple[str, ...] = ()
    converted: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    container: str = ""
    heads_from: str = ""
    native_grid: tuple[int, int] | None = None
    resampling: str = ""
    assumed: tuple[str, ...] = ()
    part: str = ""
    dtypes: tuple[tuple[str, int], ...] = ()
    seed: int | None = None
    verified: str = ""

    @property
    def random(self) -> bool:
        """Whether the weights are random."""
        return self.format == "random"

    def __str__(self) -> str:
        if self.random:
            return f"random weights from {self.source}"
        part = f"#{self.part}" if self.part else ""
        heads = f", heads from {self.heads_from}" if self.heads_from else ""
        assumed = "".join(f" Assumed: {sentence}" for sentence in self.assumed)
        verified = f" Verified: {self.verified}." if self.verified else ""
        counts = f"{len(self.matched)} tensors matched, {len(self.converted)} converted, {len(self.dropped)} dropped"
        return (
            f"{self.source}{part} ({self.format} in {self.container}, sha256 {(self.sha256 or '')[:12]}…{heads}): "
            f"{counts}{assumed}{verified}"
        )


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint is, and what loading it does with every tensor.

    report: as of loading; its heads_from is empty where nobody says how many heads there are. spec: the model;
    None where nobody says it. architecture: spec, or the same model with the likeliest number of heads: all of it
    but its heads is read from the tensors. heads_choices, advice: where the file does not say its heads, the
    numbers that they can be, the likeliest first, and what is known of them, in words. parts: state dicts of the
    file that see pictures, the likeliest first, each as it stands after '#' in a path; the file itself is "".
    """

    report: LoadReport
    spec: ModelSpec | None
    architecture: ModelSpec
    heads_choices: tuple[int, ...] = ()
    advice: str = ""
    parts: tuple[str, ...] = ()

    @property
    def parameter_count(self) -> int:
        """All weights of the model."""
        return self.architecture.parameter_count


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, frozen and in eval mode; safe to share between threads."""

    spec: ModelSpec
    model: VisionTransformer = field(repr=False)
    report: LoadReport
    origin: Origin | None = field(default=None, repr=False, compare=False)  # None for random weights

    def __repr__(self) -> str:
        spec, size = self.spec, f"{self.parameter_count / 1e6:.1f} M parameters"
        shape = f"{spec.depth} layers × {spec.heads} heads, patches of {spec.patch_size} px"
        return f"LoadedModel({spec.name!r}, {size}, {shape}, {str(self.device)!r})"

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
