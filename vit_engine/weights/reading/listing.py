"""What files of strangers say, in messages: a few names and none longer than a line, and which file it was."""

import contextlib
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError, ResourceError

MOST = 8
LONGEST = 100  # characters of a name
_LONGEST_MESSAGE = 7000  # characters


class _Repr(reprlib.Repr):
    """repr() of the beginning of a value only: it may hold one text a million times, or itself.

    What is neither a container nor a scalar is its type's name: a tensor may claim any size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring = 3, 2 * LONGEST
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = MOST

    def repr_str(self, x: str, level: int) -> str:  # noqa: ARG002  # as reprlib has it
        return repr(x[: self.maxstring])

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002
        return repr(x[: self.maxstring])

    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002
        return repr(x) if isinstance(x, float | complex | bool | None) else type(x).__name__


def represent(value: object, longest: int = LONGEST) -> str:
    """As Python writes a value, cut where it is longer than that; no more of it is looked at."""
    return shorten(_REPR.repr(value), longest)


def shorten(name: object, longest: int = LONGEST) -> str:
    """A name as text, cut where it is longer than that."""
    text = name if isinstance(name, str) else _REPR.repr(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


_REPR = _Repr()


def listed(names: Iterable[object], most: int = MOST) -> str:
    """The first names with commas between them, and "…" where there are more; "nothing" of none."""
    shown = [shorten(name) for _, name in zip(range(most + 1), names, strict=False)]
    return ", ".join(shown[:most]) + ("…" if len(shown) > most else "") if shown else "nothing"


def quoted(names: Iterable[object], most: int = MOST) -> str:
    """As Python writes a list, "['a', 'b']"; "none" of none, and how many more there are than `most`."""
    all_names = list(names)
    shown = [shorten(name) for name in all_names[:most]]
    more = f" and {len(all_names) - most:,} more" if len(all_names) > most else ""
    return f"{shown}{more}" if shown else "none"


@contextlib.contextmanager
def naming_file(path: Path | str) -> Iterator[None]:
    """CheckpointErrors and ResourceErrors that do not name the file yet do so; what memory and disk refuse is one."""
    try:
        yield
    except (CheckpointError, ResourceError) as error:
        message = str(error)
        named = str(path) in message
        if named and len(message) <= _LONGEST_MESSAGE:
            raise
        raise type(error)(f"{'' if named else f'{path}: '}{shorten(message, _LONGEST_MESSAGE)}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ResourceError(f"not enough memory to load {path}. Free some, or load a smaller checkpoint.") from error
