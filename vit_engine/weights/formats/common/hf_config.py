"""What Hugging Face's config.json and preprocessor_config.json say of a Vision Transformer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vit_engine.errors import CheckpointError, SpecError
from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Metadata, Sidecar, is_number, is_whole
from vit_engine.weights.reading.listing import shorten

Defaults = Mapping[str, Mapping[str, Any]]  # by model type, what a config.json need not say
# What transformers takes where a config.json does not say it; families have their own beside it.
BASE: Mapping[str, Any] = {
    "num_attention_heads": 12,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu",
}
HALF = (0.5, 0.5, 0.5)  # transformers' IMAGENET_STANDARD_MEAN and _STD
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "quick_gelu",
    # one formula, spelled and rounded in five ways
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"), "gelu_tanh"),
}
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers


@dataclass(frozen=True)
class Config:
    """A config.json as it is (`given`; empty where there is none), and with its family's defaults (`values`)."""

    values: Mapping[str, Any]
    given: Mapping[str, Any]
    graph: bool = False  # as in Sidecar

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def heads(self) -> int | None:
        """None where there is no config.json: a default would be a guess."""
        return self._checked("num_attention_heads", is_whole, "a whole number") if self.given else None

    @property
    def norm_eps(self) -> float:
        return self.number("layer_norm_eps")

    @property
    def mlp(self) -> str:
        """The kind of an ungated MLP; CheckpointError for an activation that is not known here."""
        activation = self["hidden_act"]
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise CheckpointError(
                f"its config.json has the activation (hidden_act) {shorten(repr(activation))}; known here are "
                f"{', '.join(_ACTIVATIONS)}."
            )
        return _ACTIVATIONS[activation]

    def metadata(self, conversion: Conversion, *, mlp: str | None = None, **others: Any) -> Metadata:
        """What it says, and others say, who come first."""
        both = {"heads_from": "config.json", "native_size": self.native_size(conversion), **others}
        names = self.class_names(conversion)
        return Metadata(heads=self.heads, mlp=mlp or self.mlp, norm_eps=self.norm_eps, class_names=names, **both)

    def assumed(self, *what: str) -> tuple[str, ...]:
        """For the report, where there is neither a config.json nor a graph to say it."""
        return () if self.given or self.graph else what

    def number(self, key: str) -> float:
        """CheckpointError unless this is a number above 0."""
        return float(self._checked(key, lambda value: is_number(value) and value > 0, "a number"))

    def _checked(self, key: str, fits: Callable[[Any], bool], kind: str) -> Any:
        if not fits(self[key]):
            raise CheckpointError(f"its config.json's {key} must be {kind} above 0; got {shorten(repr(self[key]))}.")
        return self[key]

    def pair(self, key: str) -> tuple[int, int]:
        """(height, width), of one number or two; CheckpointError unless they are whole and above 0."""
        value = self[key]
        sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
        if len(sides) != 2 or not all(map(is_whole, sides)):
            raise CheckpointError(
                f"its config.json's {key} must be a whole number above 0, or two; got {shorten(repr(value))}."
            )
        return sides

    def native_size(self, conversion: Conversion) -> tuple[int, int] | None:
        """(height, width) in pixels; None without a config.json. CheckpointError if positions differ."""
        if not self.given:
            return None
        # Of whole patches: the rest is cut off, as transformers' convolution does it.
        sizes = zip(self.pair("image_size"), self.pair("patch_size"), strict=True)
        (rows, height), (cols, width) = ((side // patch, side - side % patch) for side, patch in sizes)
        if "pos_embed" in conversion:
            patches = conversion["pos_embed"].shape[1] - 1 - ("dist_token" in conversion)
            says = f"{self['image_size']} ({rows}×{cols} patches)"
            self._demand("image_size", says, rows * cols == patches, f"positions for {patches}")
        return height, width

    def check_agreement(self, conversion: Conversion, **found: object) -> None:
        """CheckpointError where tensors contradict config.json: those that every family has, and `found` by key."""
        if not self.given:
            return
        kernel = tuple(conversion["patch_embed.proj.weight"].shape[2:])
        found |= {
            "hidden_size": conversion["cls_token"].shape[-1],
            "num_hidden_layers": len(conversion.layers()),
        }
        self._demand("patch_size", self["patch_size"], self.pair("patch_size") == kernel, f"kernels of {kernel}")
        self.check(**found)

    def check(self, **found: object) -> None:
        """CheckpointError where it says anything else than what was found in tensors, by key."""
        for key, value in found.items():
            same = type(self[key]) is type(value) and self[key] == value  # 1 is not true, and 12.0 is no count
            self._demand(key, self[key], same, repr(value))

    def class_names(self, conversion: Conversion) -> tuple[str, ...] | None:
        """Of id2label, in order; None where there is no classifier, or another number of classes."""
        labels = self.values.get("id2label")
        if not isinstance(labels, Mapping):
            return None
        classes = conversion["head.weight"].shape[0] if "head.weight" in conversion else 0
        names = tuple(str(labels.get(str(number))) for number in range(classes))
        return names if names and len(labels) == classes and set(labels.values()) == set(names) else None

    def _demand(self, key: str, says: object, agrees: bool, got: str) -> None:
        default = "" if key in self.given else " (transformers' default)"
        if not agrees:
            raise CheckpointError(
                f"its config.json has {key} {shorten(str(says))}{default}, its tensors {got}. Put the config.json that "
                "came with these weights beside them."
            )


def read_config(sidecar: Sidecar, defaults: Defaults, *, part: str = "vision_config") -> Config:
    """A config.json, or a CLIP's part about pictures; without one, the first defaults. CheckpointError for others."""
    config = sidecar.config.get(part, sidecar.config)
    if not isinstance(config, Mapping):
        raise CheckpointError(f"its config.json's {part} must have names and values; got {shorten(repr(config))}.")
    first = next(iter(defaults))
    kind = config.get("model_type", sidecar.config.get("model_type", first))
    if not isinstance(kind, str) or kind not in defaults:
        raise CheckpointError(
            f"its config.json is of the model type {shorten(repr(kind))}, and its tensors have the names of "
            f"{' or '.join(defaults)}: a type that is not known here may compute something else with the same names. "
            "If that config.json is of another model, put the one that came with these weights beside them."
        )
    return Config({**defaults[kind], **config}, config, sidecar.graph)


def read_preprocessing(sidecar: Sidecar, default: Preprocessing) -> Preprocessing:
    """As the preprocessor_config.json says; what it leaves out, and all without one, as the family's default."""
    try:
        return _preprocessing(sidecar.preprocessor, default)
    except (SpecError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"its preprocessor_config.json asks for what is not known here: {shorten(str(error), 200)}"
        ) from error


def _preprocessing(given: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
    # Means and deviations are of pixels in 0..1 here, and of rescaled ones there.
    factor = given.get("rescale_factor", 1 / 255)
    if not is_number(factor) or factor <= 0:
        raise ValueError(f"a rescale_factor of {factor!r:.100}")
    scale = 255 * factor if _said(given, "do_rescale") else 255
    mean, std = 0.0, 1.0
    if _said(given, "do_normalize"):
        mean, std = given.get("image_mean", default.mean), given.get("image_std", default.std)
    number = given.get("resample", _FILTERS.index(default.interpolation))
    if type(number) is not int or not 0 <= number < len(_FILTERS):
        raise ValueError(f"a resample of {number!r:.100}")
    return Preprocessing(_triple(mean, scale), _triple(std, scale), _FILTERS[number])


def _said(given: Mapping[str, Any], key: str) -> bool:
    """True where nothing is said."""
    value = given.get(key, True)
    if type(value) is not bool:
        raise TypeError(f"a {key} of {value!r:.100}")
    return value


def _triple(values: Any, scale: float) -> tuple[float, float, float]:
    """One number a channel, or the same for all, over the scale."""
    red, green, blue = [values] * 3 if is_number(values) else values
    if not all(map(is_number, (red, green, blue))):
        raise ValueError(f"a mean or std of {values!r:.100}")
    scale = 1 if abs(scale - 1) < 1e-6 else scale
    return red / scale, green / scale, blue / scale
