"""Names from files, in messages: a few of them, and none longer than a line. Files come from strangers."""

from collections.abc import Iterable

MOST = 8
LONGEST = 100  # characters


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
