"""What came with a timm model: the config.json that timm saves beside it, or its training script's arguments.

config.json as in timm/models/_hub.py (save_config_for_hf): architecture, model_args, global_pool,
pretrained_cfg; older ones have the fields of pretrained_cfg at the top. Arguments as in timm's train.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.spec import INTERPOLATIONS, Preprocessing
from vit_engine.weights.formats.common.format import Sidecar, is_number, is_whole

ASSUMED_NORMALISATION = "Pictures are normalised with ImageNet's mean and std."
_TRAINING = {"model", "data_dir"}  # arguments of timm's train.py; those of DeiT and MAE have data_path


@dataclass(frozen=True)
class Description:
    """What is said of a model; nothing of a bare file."""

    source: str = ""  # what says it, in words; empty for a bare file
    architecture: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)  # that changed its architecture: timm's model_args
    picture: Mapping[str, Any] = field(default_factory=dict)  # how it wants pictures, as in timm's pretrained_cfg
    labels: Any = None  # names of its classes, by number or in their order
    live: bool = False  # of a module in memory, whose equations are read from it

    @property
    def pooling(self) -> str | None:
        """Timm's name for what its classifier sees; None where it is not said."""
        return self.options.get("global_pool")

    def sizes(self) -> list[tuple[int, int]]:
        """The native size (height, width) in pixels; none where nothing says it."""
        # input_size may be that of the model before it was changed (timm says so of its older exports), so a square
        # grid is possible beside it; img_size is certain.
        certain = self.options.get("img_size")
        if certain is not None:
            return [_pair(certain)]
        size = self.picture.get("input_size")
        return [_pair(size[-2:] if isinstance(size, Sequence) else size)] if size else []


def describe(sidecar: Sidecar) -> Description | None:
    """What came with the tensors, if it is timm's."""
    config, arguments = sidecar.config, sidecar.arguments
    kind = config.get("model_type", "timm_wrapper")  # transformers, where it has wrapped a timm model
    if isinstance(config.get("architecture"), str) and kind == "timm_wrapper":
        picture = _mapping(config, "pretrained_cfg") or config
        options = {"global_pool": config.get("global_pool"), **_mapping(config, "model_args")}
        labels = config.get("label_names") or picture.get("label_names") or picture.get("labels")
        source = "the module" if sidecar.live else "config.json"
        return Description(source, config["architecture"], options, picture, labels, sidecar.live)
    if arguments.keys() >= _TRAINING and isinstance(arguments["model"], str):
        # Those that were not given are None there, and then the architecture's own hold.
        options = {"global_pool": arguments.get("gp"), "img_size": arguments.get("img_size")}
        options |= _mapping(arguments, "model_kwargs")
        return Description("the arguments of the training run", arguments["model"], options, arguments)
    return None


def _mapping(within: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = within.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise CheckpointError(f"{key}, which came with it, must have names and values; got {value!r:.100}.")
    return value or {}


def preprocessing(description: Description) -> tuple[Preprocessing, tuple[str, ...]]:
    """How the model wants its pictures, and what of that nobody says and is assumed, a sentence each."""
    picture = description.picture
    mean, std, resize = picture.get("mean"), picture.get("std"), picture.get("interpolation")
    said, assumed = Preprocessing(), []
    if _three(mean) and _three(std):
        said = Preprocessing(mean=tuple(mean or ()), std=tuple(std or ()))
    else:
        assumed.append(f"{ASSUMED_NORMALISATION} AugReg's and Google's models were trained with 0.5 for all of them.")
    if isinstance(resize, str) and resize in INTERPOLATIONS:
        return replace(said, interpolation=resize), tuple(assumed)
    if resize:
        assumed.append(f"Pictures are resized with a {said.interpolation} filter in place of {resize!r:.100}.")
    return said, tuple(assumed)


def class_names(labels: Any) -> tuple[str, ...] | None:
    """By number, from a list or a {number: name} without gaps; None where nobody names them all."""
    if isinstance(labels, Mapping) and all(str(number).isdecimal() for number in labels):
        by_number = {int(number): name for number, name in labels.items()}
        labels = [by_number.get(number) for number in range(len(by_number))]
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not all(isinstance(each, str) for each in labels):
        return None
    return tuple(labels) or None


def _three(values: Any) -> bool:
    """Whether these are one number a channel; False where nothing is said, CheckpointError where it is nonsense."""
    if values is None:
        return False
    if not isinstance(values, Sequence) or len(values) != 3 or not all(map(is_number, values)):
        raise CheckpointError(f"the mean and std of pictures must be three numbers each; got {values!r:.100}.")
    return True


def _pair(size: Any) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or not all(map(is_whole, pair)):
        raise CheckpointError(f"the native size must be a number or (height, width) in pixels; got {size!r:.100}.")
    return pair
