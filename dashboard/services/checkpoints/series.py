"""Training checkpoints of one run: files of one folder whose names differ in a number."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)  # the last number counts: "run2_step0040"
_SAYS_NOTHING = {"", "checkpoint", "ckpt", "epoch", "ep", "e", "step", "s", "iter", "iteration", "model", "weights"}
_LONG = 3  # digits: a number so long counts steps, and one of dinov2 or vit_b_16 does not


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands in a run: the run's pattern, as "run1/checkpoint#.pth", its title, the number."""

    pattern: str
    run: str
    number: int

    @property
    def title(self) -> str:
        return f"{self.run} · {self.number}"


@dataclass(frozen=True)
class Series:
    """A run's checkpoints by name, in the order of their numbers."""

    pattern: str
    run: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]


def place(name: str) -> Place | None:
    """Where a file of this relative name would stand in a series; None for names without a number."""
    path = PurePosixPath(name)
    stem, suffix = (path.stem, path.suffix) if not path.suffix[1:].isdigit() else (path.name, "")
    found = _NUMBERED.fullmatch(stem)
    if found is None:
        return None
    before, number, after = found.groups()
    last = re.split(r"[^a-z]+", before.lower().rstrip("-_.= "))[-1]
    if last not in _SAYS_NOTHING and len(number) < _LONG:
        return None
    word = before.strip("-_.= ")
    parts = [str(path.parent)] if path.parent.name else []
    if word.lower() not in _SAYS_NOTHING or not parts:
        parts.append(word or "checkpoint")
    return Place(str(path.parent / f"{before}#{after}{suffix}"), "/".join(parts), int(number))


def find_series(names: Iterable[str]) -> tuple[Series, ...]:
    """All series of two or more among relative names."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        if (where := place(name)) is not None:
            found[where.pattern, where.run].append((where.number, name))
    runs = []
    for (pattern, run), members in found.items():
        if len(members) > 1:
            numbers, files = zip(*sorted(members), strict=True)
            runs.append(Series(pattern, run, files, numbers))
    return tuple(runs)


def spread(count: int, most: int) -> tuple[int, ...]:
    """Indices of at most so many out of `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return tuple(range(count))
    return tuple(round(step * (count - 1) / (most - 1)) for step in range(most))
