"""A state dict on its way to the names of this project: every tensor is accounted for."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed, shorten

# Keys that a tensor is made of, its name, and how it is made; None where it is one of them as it is.
Part = tuple[Sequence[str], str, Callable[..., Tensor] | None]
Rules = Sequence[tuple[str, str]]  # (pattern of a whole name, its replacement), the first that matches


class Conversion:
    """Tensors by their present names, and what became of every key of the file.

    A format's converter renames, joins and drops until all names are those of VisionTransformer. Nothing
    disappears: what is left over keeps its name, and loading fails on it.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.tensors = dict(state)
        self.dropped: list[tuple[str, str]] = []  # (key in the file, why)
        self._origins: dict[str, tuple[str, ...]] = {name: (name,) for name in state}  # of each present name
        self._changed: set[str] = set()  # keys of the file whose values are no longer as they were

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __getitem__(self, name: str) -> Tensor:
        """CheckpointError where there is no such tensor: a file of this format has it."""
        if name not in self.tensors:
            raise CheckpointError(f"{name!r} is missing; there are {listed(sorted(self.tensors))}.")
        return self.tensors[name]

    def rename(self, rules: Rules) -> None:
        """Names that a rule matches as a whole become its replacement (as in re.sub); the others stay."""
        compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
        for name in list(self.tensors):
            for pattern, replacement in compiled:
                if match := pattern.fullmatch(name):
                    self._move(name, match.expand(replacement))
                    break

    def rename_all(self, change: Callable[[str], str]) -> None:
        for name in list(self.tensors):
            self._move(name, change(name))

    def strip(self, *prefixes: str) -> None:
        """Prefixes, each at most once and in this order, are taken from the names that begin with them."""
        self.rename_all(lambda name: functools.reduce(str.removeprefix, prefixes, name))

    def drop(self, pattern: str, why: str) -> None:
        """Names that the pattern matches as a whole are left out on purpose."""
        for name in [name for name in self.tensors if re.fullmatch(pattern, name)]:
            del self.tensors[name]
            self.dropped += [(key, why) for key in self._origins.pop(name)]

    def replace(self, parts: Sequence[Part]) -> None:
        """Tensors become those that are made of them, all at once: one may be a part of several, or be several."""
        made = [(name, (change or _same)(*(self[key] for key in keys)), keys) for keys, name, change in parts]
        origins = {key: self._origins[key] for keys, _, _ in parts for key in keys}
        for key in origins:
            del self.tensors[key], self._origins[key]
        for (name, tensor, keys), (_, _, change) in zip(made, parts, strict=True):
            self._put(name, tensor, tuple(origin for key in keys for origin in origins[key]))
            if change is not None:
                self._changed.update(origin for key in keys for origin in origins[key])

    def origins(self, name: str) -> tuple[str, ...]:
        """Keys of the file that a tensor is made of; none where there is no such tensor."""
        return self._origins.get(name, ())

    def join(self, names: Sequence[str], to: str) -> None:
        """Several tensors become one, laid one after another along their first axis."""
        self.combine(names, to, lambda *tensors: torch.cat(tensors))

    def combine(self, names: Sequence[str], to: str, make: Callable[..., Tensor]) -> None:
        """Tensors become one that is made of them, perhaps of a single one; CheckpointError if they do not fit."""
        parts = [self[name] for name in names]
        try:
            made = make(*parts)
        except (RuntimeError, IndexError) as error:
            if out_of_memory(error):
                raise
            shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in zip(names, parts, strict=True))
            raise CheckpointError(f"{to!r} cannot be made of {shapes}: {error}") from error
        origins = tuple(key for name in names for key in self._origins[name])
        for name in names:
            del self.tensors[name], self._origins[name]
        self._put(to, made, origins)
        self._changed.update(origins)

    def set(self, name: str, tensor: Tensor) -> None:
        """A tensor that follows from the format and not from any of the file's: zeros where it has no bias, say."""
        self._put(name, tensor, ())

    def join_layers(self, parts: Sequence[str], to: str, kinds: Sequence[str] = ("weight", "bias")) -> None:
        """Linear layers of every block, by their names in it, become one: weights, and biases if block 0 has any.

        kinds: in the order in which the report names them.
        """
        biased = any(f"blocks.0.{part}.bias" in self for part in parts)
        for layer in self.layers():
            for kind in kinds if biased else ("weight",):
                self.join([f"blocks.{layer}.{part}.{kind}" for part in parts], f"blocks.{layer}.{to}.{kind}")

    def layers(self) -> list[int]:
        """The blocks that are there, by number, from names as they are called here."""
        return sorted({int(match[1]) for name in self.tensors if (match := re.match(r"blocks\.(\d{1,4})\.", name))})

    def keys_under(self, beginning: str) -> list[str]:
        """The keys of the file that went into the tensors whose present names begin so."""
        return [key for name, keys in self._origins.items() if name.startswith(beginning) for key in keys]

    @property
    def matched(self) -> tuple[str, ...]:
        """Tensors taken as they are, under the name that they have in the file."""
        return tuple(name for name, keys in self._origins.items() if keys == (name,) and name not in self._changed)

    @property
    def converted(self) -> tuple[tuple[str, str], ...]:
        """(key in the file, parameter that it went into), of all others."""
        kept = set(self.matched)
        return tuple((key, name) for name, keys in self._origins.items() if name not in kept for key in keys)

    def _move(self, name: str, to: str) -> None:
        if to != name:
            self._put(to, self.tensors.pop(name), self._origins.pop(name))

    def _put(self, name: str, tensor: Tensor, origins: tuple[str, ...]) -> None:
        if name in self.tensors:
            keys = sorted({*self._origins[name], *origins})
            raise CheckpointError(f"two tensors of the file are {shorten(name)!r} here: {listed(keys)}.")
        self.tensors[name] = tensor
        self._origins[name] = origins


def _same(tensor: Tensor) -> Tensor:
    return tensor
