"""What a format of weight files is: how to know it, how to convert it, what its tensors do not show; and numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.published import Published
from vit_engine.weights.formats.common.text import TextTower


@dataclass(frozen=True)
class Sidecar:
    """What came with the tensors; each is empty where nothing did."""

    config: Mapping[str, Any] = field(default_factory=dict)  # config.json
    preprocessor: Mapping[str, Any] = field(default_factory=dict)  # preprocessor_config.json
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the training run, where the file holds them
    graph: bool = False  # whether the file has the model's graph, which shows its activation, eps and heads
    live: bool = False  # a module in memory, which is asked afterwards what no tensor shows, and compared


@dataclass(frozen=True)
class Metadata:
    """What the tensors of a model do not show, and its format or what came with the file does."""

    family: str  # as in ModelSpec
    heads: int | None = None  # None where nothing says it
    heads_from: str = ""  # what says it, in words
    native_size: tuple[int, int] | None = None  # (height, width) in pixels; None for a square grid
    mlp: str = "gelu"  # gated ones are SwiGLUs, unless it is another gated kind
    norm_eps: float = 1e-6
    pooling: str = "cls"
    resampling: str = "bicubic"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    class_names: tuple[str, ...] | None = None  # None where nobody names them
    published: Published = field(default_factory=dict)  # for advice only: the file need not be one of them
    rope_base: float | None = None  # of rotary positions whose periods the file lacks: they follow from it and heads
    assumed: tuple[str, ...] = ()  # from the family's published models, where nothing says it: sentences for the report
    assumed_equations: tuple[str, ...] = ()  # those of them that a comparison with the original module would prove
    missing_info: str = ""  # a sentence; without it a file can only be the weights of a model that is known


@dataclass(frozen=True)
class Format:
    name: str
    recognises: Callable[[Conversion, Sidecar], bool]  # by the tensors, mostly their names, with wrappers removed
    # Brings the tensors to the names of VisionTransformer; raises CheckpointError, saying what and why, for what this
    # format can hold and VisionTransformer cannot be.
    convert: Callable[[Conversion, Sidecar], Metadata]
    config_file: str = ""  # that comes with the weights and says how many heads they have
    model_types: tuple[str, ...] = ()  # of a config.json of transformers, that this format converts
    of_files: bool = True  # and not of modules in memory alone
    # The text tower of a whole model, where this format's models can have one; raises CheckpointError as convert does,
    # and where there is none.
    text: Callable[[Conversion, Sidecar], TextTower] | None = None


def named(*names: str, prefixes: Sequence[str] = ("",)) -> Callable[[Conversion, Sidecar], bool]:
    """For Format.recognises: whether all of these names are there, behind one and the same prefix."""
    return lambda conversion, _: any(all(prefix + name in conversion for name in names) for prefix in prefixes)


# What counts as a number in a JSON file: to Python true is 1, and NaN, Infinity and 10⁴⁰⁰ are numbers.
_LARGEST = 1_000_000  # of sizes in pixels, layers, heads, dimensions
_FINITE = 1e30  # float32 ends at 3.4e38


def is_whole(value: Any) -> bool:
    """A number that counts something: at least 1, and of a size that counts of models have."""
    return type(value) is int and 1 <= value <= _LARGEST


def is_number(value: Any) -> bool:
    return type(value) in {int, float} and -_FINITE <= value <= _FINITE
