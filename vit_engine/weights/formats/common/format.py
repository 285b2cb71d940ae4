"""What a format of weight files is: how to know it, how to convert it, and what its tensors do not show."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion


@dataclass(frozen=True)
class Origin:
    """What came with the tensors.

    config, preprocessor: of the config.json and preprocessor_config.json beside them, else empty.
    arguments: those of the training run, where the file holds them (an argparse.Namespace, as a dict), else
    empty.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Traits:
    """What the tensors of a model do not show, and its format or what came with the file does.

    family: as in ModelSpec. heads: None where nothing says it; heads_from: what says it, in words.
    native_size: (height, width) in pixels, None for a square grid. mlp: gated ones are SwiGLUs, unless it is
    another gated kind. class_names: None where nobody names them. published: (dim, depth) of this family's
    published models -> their heads, for advice only: the file need not be one of them. rope_base: of rotary
    positions whose periods the file lacks, because they follow from it and the heads; None for all others.
    assumed: what nothing says and is taken from the family's published models, a sentence each, for the
    report. lacking: what nothing says and nothing can be taken for, a sentence; such a file can only be the
    weights of a model that is known.
    """

    family: str
    heads: int | None = None
    heads_from: str = ""
    native_size: tuple[int, int] | None = None
    mlp: str = "gelu"
    norm_eps: float = 1e-6
    pooling: str = "cls"
    resampling: str = "bicubic"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    class_names: tuple[str, ...] | None = None
    published: Mapping[tuple[int, int], int] = field(default_factory=dict)
    rope_base: float | None = None
    assumed: tuple[str, ...] = ()
    lacking: str = ""


@dataclass(frozen=True)
class Format:
    """A format. recognises: whether names of tensors, wrappers removed, and their origin are of this format.

    convert: brings the tensors to the names of VisionTransformer and returns their traits; raises
    CheckpointError, saying what and why, for what this format can hold and VisionTransformer cannot be.
    shows: whether values of tensors are of this format, where neither names nor their origin say it. companion:
    the file that comes with the weights and says how many heads they have; empty where there is none.
    """

    name: str
    recognises: Callable[[Set[str], Origin], bool]
    convert: Callable[[Conversion, Origin], Traits]
    shows: Callable[[Conversion, Origin], bool] = lambda conversion, origin: False
    companion: str = ""
