"""What files say, in messages: a few names and none longer than a line, and which file it was.

Files come from strangers, and so does what messages quote.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError, ResourceError

MOST = 8
LONGEST = 100  # characters of a name
_LONGEST_MESSAGE = 4000  # characters


def shorten(name: object, longest: int = LONGEST) -> str:
    """A name as text, cut where it is longer than that."""
    text = name if isinstance(name, str) else repr(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


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
def about(path: Path) -> Iterator[None]:
    """CheckpointErrors and ResourceErrors that do not name the file yet do so, and memory that runs out is one."""
    try:
        yield
    except (CheckpointError, ResourceError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {shorten(str(error), _LONGEST_MESSAGE)}") from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ResourceError(f"not enough memory to load {path}. Free some, or load a smaller checkpoint.") from error
