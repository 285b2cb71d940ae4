"""From what a file holds to its tensors: the state dict among epochs, optimizers and arguments, and its own names."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.parts import TOOLS, Part, begins_with, counted, find_parts, left_out

# What training wraps names in. These are no names in any format:
WRAPPERS = (*TOOLS, "backbone.")
# These are: Hugging Face's DINOv3 has "model.layer.0", its ViT "encoder.layer.0". They are wrappers where the patch
# projection, which is outside of it in those formats, is in it, too.
PERHAPS = ("model.", "net.", "network.", "encoder.")
# What Lightning modules, and those written like them, have beside the model.
_TRAINING = r"(criterion|loss(_fn|_func|_function)?|metrics?|(train|val|valid|validation|test)_\w+)(\.\w+)+"
# What tools leave in the middle of names, one module at a time: no module of a model is called so.
_WITHIN = re.compile(r"(?<=\.)(?:(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+(?=.)")
_SCALARS = (str, int, float, type(None))
_LONGEST_LIST = 100
_LONGEST_TEXT = 10_000  # characters; a list may hold one text a hundred times, and messages quote it
_ARGUMENTS = ("args", "config", "hyper_parameters", "hparams")  # where runs keep their arguments


class StateDict(NamedTuple):
    """Tensors by name, and what else the file says."""

    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, Any]  # of the run that they are from, where the file has them
    part: str = ""  # of the file, as it stands after '#' in a path; empty where the file is a state dict
    left_out: tuple[tuple[str, str], ...] = ()  # (what, why) of everything beside it


def find_state_dict(content: Any, part: str = "") -> StateDict:
    """The tensors in a file: the file itself, or a part of what a training run saved.

    part: the one that is wanted, with dots where it is in another; else the likeliest, averaged weights first.
    CheckpointError without any, without that one, or where several are equally likely.
    """
    parts = find_parts(content)
    if not parts:
        raise CheckpointError(_what_instead(content))
    chosen = _named(parts, part) if part else _likeliest(parts)
    return StateDict(chosen.tensors, _arguments(content), chosen.name, left_out(content, chosen))


def strip_wrappers(conversion: Conversion) -> None:
    """Take what training wraps names in from their beginning, however deep it is wrapped."""
    conversion.rename_all(lambda name: _WITHIN.sub("", name))
    while wrapper := _wrapper_of(conversion.tensors):
        conversion.strip(wrapper)
    conversion.drop(r"n_averaged", "counter of torch.optim.swa_utils.AveragedModel")
    conversion.drop(_TRAINING, "loss or metric of training, beside the model")


def strip_unknown(conversion: Conversion) -> bool:
    """Take the first word of the patch projection's name from all names that begin with it; False without one.

    For models that are an attribute of something else ("feature_extractor.cls_token"): the fit proves it right.
    """
    words = {name.split(".")[0] for name in _kernels(conversion.tensors) if "." in name}
    if len(words) != 1:
        return False
    prefix = f"{words.pop()}."
    if any(name.startswith(prefix) and name.removeprefix(prefix) in conversion for name in conversion.tensors):
        return False  # it tells tensors apart, and wraps nothing
    conversion.strip(prefix)
    strip_wrappers(conversion)
    return True


def _kernels(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of convolutions of pictures with three channels, as the patch projection is one."""
    return [name for name, tensor in tensors.items() if tensor.ndim == 4 and tensor.shape[1] == 3]


def _wrapper_of(tensors: Mapping[str, Tensor]) -> str | None:
    for wrapper in WRAPPERS:
        if any(name.startswith(wrapper) for name in tensors):
            return wrapper
    return next((each for each in PERHAPS if any(name.startswith(each) for name in _kernels(tensors))), None)


def _likeliest(parts: Sequence[Part]) -> Part:
    ranks = [part.rank for part in parts]  # once: each scans the part's tensors
    lowest = min(ranks)
    equal = [part for part, rank in zip(parts, ranks, strict=True) if rank == lowest]
    if len(equal) > 1:
        raise CheckpointError(
            f"it holds several state dicts, and none has a usual name: {_listed(equal)}. Say which, after a '#': "
            f"PATH#{shorten(equal[0].name)}"
        )
    return equal[0]


def _named(parts: Sequence[Part], asked: str) -> Part:
    """The part of this name, or the only one whose name ends so, or the tensors whose names begin so."""
    named = [part for part in parts if part.name == asked]
    named = named or [part for part in parts if part.name.endswith(f".{asked}")]
    if len(named) == 1:
        return named[0]
    for part in sorted(parts, key=lambda part: part.rank):
        if chosen := begins_with(part, asked.removeprefix(f"{part.name}.")):
            return chosen
    raise CheckpointError(f"it has no part {shorten(asked)!r}; got {_listed(parts)}.")


def _listed(parts: Sequence[Part]) -> str:
    return ", ".join(
        f"{shorten(part.name) or '(the file itself)'} ({counted(len(part.tensors), 'tensor', 'tensors')})"
        for part in parts[:8]
    )


def _arguments(content: Any) -> Mapping[str, Any]:
    """Of all places where runs keep them; the first that names one has its say.

    "arch" beside the state dict is none of them: MoCo v3 calls a ViT of 12 heads vit_small there, and DINO's has 6.
    """
    found: dict[str, Any] = {}
    for key in _ARGUMENTS:
        value = content.get(key)
        arguments = vars(value) if isinstance(value, argparse.Namespace) else value
        if isinstance(arguments, Mapping):
            found = {**_plain(arguments), **found}
    return found


def _plain(arguments: Mapping[Any, Any], depth: int = 1) -> dict[str, Any]:
    """Those of plain values, lists of them, dicts of both: tuples in tuples, each twice, have no end when printed."""
    plain = {name: each for name, each in arguments.items() if isinstance(name, str) and _is_plain(each)}
    inner = {name: each for name, each in arguments.items() if isinstance(name, str) and isinstance(each, Mapping)}
    return plain | {name: _plain(each, depth - 1) for name, each in inner.items() if depth}


def _is_plain(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else (value,)
    if len(values) > _LONGEST_LIST or not all(isinstance(each, _SCALARS) for each in values):
        return False
    return all(len(each) <= _LONGEST_TEXT for each in values if isinstance(each, str))


def _what_instead(content: Any) -> str:
    wanted = "expected a state dict (names to tensors), or one under 'teacher', 'model' or 'state_dict'"
    if isinstance(content, Mapping) and ("param_groups" in content or "optimizer" in content):
        return f"it is the state of an optimizer, without the model; {wanted}. Save the model's state_dict(), too."
    found = [*sorted(map(shorten, content))[:8]] if isinstance(content, Mapping) else type(content).__name__
    return f"{wanted}; got {found}. Save the model's state_dict()."
