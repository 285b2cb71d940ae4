"""What the page Tokens says about two pictures, in one line each."""

from dashboard.shell.formatting import capitalised
from dashboard.tokens.pair_figures import Mark
from dashboard.tokens.texts import similarity
from vit_engine import Correspondences
from vit_engine.grid import token_name
from vit_engine.planning.plan import FACETS


def matches_line(clear: Correspondences, drawn: int, ratio: float) -> str:
    """How many patches correspond, how many of them clearly, and how many are drawn."""
    of = f"**{len(clear):,}** of {clear.candidates:,} mutual nearest neighbours {_are(len(clear))} clear"
    every = f"{of} (ratio ≤ {ratio:g})" if ratio < 1 else f"**{len(clear):,}** mutual nearest neighbours"
    if drawn == 0:
        return f"{every}; none is drawn"
    which = "it is" if len(clear) == 1 else f"all {drawn} are" if drawn == len(clear) else f"the best {drawn} are"
    return f"{every}; {which} drawn"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def no_matches(clear: Correspondences, ratio: float, facet: str) -> str:
    """Where none is clear, what to change. facet: what was compared."""
    of = "The one pair" if clear.candidates == 1 else f"None of {clear.candidates:,} pairs"
    missed = "is not clear" if clear.candidates == 1 else "is clear"
    others = "" if facet == "key" else f"keys instead of {FACETS[facet]}, "
    advice = (
        f"Allow a larger ratio, or choose another layer, {others}or a larger size; pictures of unlike things may have "
        "no clear pair."
    )
    return f"{of} of mutual nearest neighbours {missed} (ratio ≤ {ratio:g}). {advice}"


def table_help(clear: Correspondences) -> str:
    """What the table of matches has in its rows."""
    if not len(clear):
        return "A table without rows: no match passes the ratio test."
    which = "The one match" if len(clear) == 1 else f"All {len(clear):,} matches"
    return f"{which}, drawn or not, with rows, columns and pixels of the scaled pictures."


def best_match_line(query: Mark, best: Mark, value: float) -> str:
    """Which patch of the other picture is most like the query."""
    names = [f"{token_name(patch)} of the {('first', 'second')[picture]} picture" for picture, patch in (query, best)]
    return f"{capitalised(names[0])} (ring) is most like {names[1]} (dashed): cosine similarity **{similarity(value)}**"
