"""The parts of what a training run saved: its state dicts, by name, and everything else."""

import argparse
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import represent, shorten

Tensors = Mapping[str, Tensor]

# Averaged weights come before those that they are the average of: they are what is evaluated and published, and what
# timm.models.load_checkpoint() takes. So does DINO's teacher, the average of its students.
AVERAGES = ("teacher", "state_dict_ema", "model_ema", "model_ema_state_dict", "ema_state_dict", "ema_model", "ema")
PREFERRED = (*AVERAGES, "state_dict", "model", "model_state_dict", "student", "module", "net", "network", "backbone")
# Networks that stand side by side in one state dict, told by how its names begin. MoCo v3's is the base encoder.
ROLES = ("teacher", "model_ema", "ema_model", "ema", "student", "base_encoder", "momentum_encoder")
_RANKED = (*PREFERRED, *ROLES)
# What the tools of training put before every name, from the outside in.
TOOLS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.")
_ROLE = re.compile(rf"(?:(?:{'|'.join(map(re.escape, (*TOOLS, 'model.')))}))*?({'|'.join(ROLES)})\.(?=.)")
_DEEPEST = 3  # levels of dicts in dicts
MOST_PARTS = 100
MOST_ENTRIES = 100  # of what is left out, an entry each


@dataclass(frozen=True)
class Part:
    """A state dict in a file."""

    path: tuple[str, ...]  # the keys that lead to it; empty where the file itself is one
    tensors: Tensors = field(repr=False)
    role: str = ""  # where it is only a part of the names there, how they begin
    rest: Mapping[str, int] = field(default_factory=dict)  # tensors of the other names there, by how they begin

    @property
    def name(self) -> str:
        """As it stands after '#' in a path; empty where the file itself is the state dict."""
        return ".".join(self._names)

    @property
    def rank(self) -> tuple[bool, tuple[int, ...]]:
        """The smaller, the sooner it is taken: a network that sees pictures first, then by the names that lead here."""
        ranks = [_RANKED.index(name) if name in _RANKED else len(_RANKED) + 1 for name in self._names]
        # What stands at the top comes after what has a name that is known.
        return not sees_pictures(self.tensors), (*ranks, len(_RANKED))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.path, self.role) if self.role else self.path


def sees_pictures(tensors: Tensors) -> bool:
    """Whether there is a kernel of a convolution, which the patch projection of every ViT is."""
    return any(tensor.ndim == 4 for tensor in tensors.values())


def find_parts(content: Any) -> list[Part]:
    """All state dicts in what a file holds, in its order. CheckpointError for more of them than runs save."""
    parts = list(itertools.islice(_walk(content, (), set()), MOST_PARTS + 1))
    if len(parts) > MOST_PARTS:
        raise CheckpointError(f"it holds over {MOST_PARTS} state dicts. Save the one of the model alone.")
    return parts


def _walk(content: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[Part]:
    if not isinstance(content, Mapping) or id(content) in seen or "param_groups" in content:  # that is an optimizer
        return
    seen.add(id(content))
    tensors = {key: value for key, value in content.items() if _is_named_tensor(key, value)}
    if any(tensor.ndim for tensor in tensors.values()):  # not only a loss and an accuracy
        whole = len(tensors) == len(content)
        part = Part(path, content if whole else tensors)
        yield part
        yield from _roles(part)
    if len(path) < _DEEPEST:
        for key, value in content.items():
            if isinstance(key, str):
                yield from _walk(value, (*path, key), seen)


def _roles(whole: Part) -> Iterator[Part]:
    """The networks that stand side by side in one state dict."""
    roles: dict[str, dict[str, Tensor]] = {}
    counts: Counter[str] = Counter()
    for name, tensor in whole.tensors.items():
        if match := _ROLE.match(name):
            roles.setdefault(match[1], {})[name[match.end() :]] = tensor
        counts[match[1] if match else name.split(".")[0]] += 1
    for role, tensors in roles.items():
        yield Part(whole.path, tensors, role, {group: count for group, count in counts.items() if group != role})


def begins_with(part: Part, beginning: str) -> Part | None:
    """Of a part's tensors those whose names begin so; None where there are none."""
    prefix, above = f"{beginning}.", f"{part.role}." if part.role else ""
    chosen = {name.removeprefix(prefix): tensor for name, tensor in part.tensors.items() if name.startswith(prefix)}
    others = Counter(f"{above}{name.split('.')[0]}" for name in part.tensors if not name.startswith(prefix))
    return Part(part.path, chosen, f"{above}{beginning}", {**part.rest, **others}) if chosen else None


def left_out(content: Any, part: Part) -> tuple[tuple[str, str], ...]:
    """What else a file holds: (name and what it is, why it was left out) of MOST_ENTRIES, and one for all others."""
    entries = _left_out(content, part)
    first = tuple(itertools.islice(entries, MOST_ENTRIES))
    more = sum(1 for _ in entries)
    rest = (f"{more:,} more entries", "of the training run, not of the model")
    return (*first, rest) if more else first


def _left_out(content: Any, part: Part) -> Iterator[tuple[str, str]]:
    level, above = content, ""
    for key in part.path:
        yield from (_entry(f"{above}{shorten(other)}", value, part) for other, value in level.items() if other != key)
        level, above = level[key], f"{above}{key}."
    if level is not part.tensors:
        others = [(other, value) for other, value in level.items() if not _is_named_tensor(other, value)]
        yield from (_entry(f"{above}{shorten(other)}", value, part) for other, value in others)
    for group, count in part.rest.items():
        yield f"{above}{group}: {counted(count, 'tensor', 'tensors')}", _beside(part)


def _entry(name: str, value: Any, part: Part) -> tuple[str, str]:
    if isinstance(value, Mapping) and "param_groups" not in value:
        count = sum(isinstance(each, Tensor) for each in value.values())
        if count:
            return f"{name}: {counted(count, 'tensor', 'tensors')}", _beside(part)
    return f"{name}: {_in_words(value)}", "of the training run, not of the model"


def _beside(part: Part) -> str:
    return f"another part of the file; {part.name or 'the state dict beside it'} was taken"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping) and "param_groups" in value:
        return "state of an optimizer"
    if isinstance(value, argparse.Namespace):
        return "arguments"
    if isinstance(value, Mapping | list | tuple):
        return counted(len(value), "entry", "entries")
    return represent(value, 60) if isinstance(value, str | int | float | None) else type(value).__name__


def counted(count: int, one: str, many: str) -> str:
    """'1 tensor', '2 tensors'."""
    return f"{count} {one if count == 1 else many}"


def _is_named_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)
