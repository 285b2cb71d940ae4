"""What the page Tokens says about its maps, in one line each, with the legends of their colours."""

from collections.abc import Sequence

import numpy as np

from dashboard.shell.formatting import colour_legend
from dashboard.tokens.figures import Layer, Patch
from dashboard.tokens.maps import Query
from vit_engine import AttentionMap, PcaMap, TokenNorms
from vit_engine.grid import token_name
from vit_engine.planning.plan import TOKEN
from vit_engine.report.colours import colour_stops

TINY = 0.05  # of cosine similarity: a range that colours make look larger than it is
NAMED = 3  # outliers whose places are listed
OF_SECOND = ("", " of the second picture")
_CHANNELS = (("red", "1st", "#ff0000"), ("green", "2nd", "#00ff00"), ("blue", "3rd component", "#0000ff"))
_CLICK = "click a patch to see similar ones"


def pca_legend() -> str:
    """Which component is which colour, as HTML."""
    parts = [
        f'<span class="swatch" style="background: {colour}"></span> {name}: {component}'
        for name, component, colour in _CHANNELS
    ]
    meaning = (
        "Similar patches get similar colours. A component's values are stretched from the 2nd to the 98th percentile."
    )
    return f'<div class="legend" title="{meaning}">{" ".join(parts)}</div>'


def pca_line(pcas: Sequence[PcaMap]) -> str:
    """What the components explain: of one picture, or of several that they are fitted to together."""
    explained = pcas[0].explained
    shares = " · ".join(f"{share:.0%}" for share in explained)
    both = " in both pictures" if len(pcas) > 1 else ""
    masks = [pca.foreground.ravel() for pca in pcas if pca.foreground is not None]
    within = f" within the foreground, {np.concatenate(masks).mean():.0%} of the patches" if masks else ""
    whole = f"First three components explain **{sum(explained):.0%}** of the variance{both} ({shares})"
    return f"{whole}{within} · :small[{_CLICK}]"


def scale_legend(layer: Layer, *, meaning: str, low: str, high: str) -> str:
    """The colours of values, as HTML. low, high: the ends, as texts."""
    return colour_legend(colour_stops(layer.colours), low, f"{high} {layer.unit}", meaning)


def similarity_legend(layer: Layer) -> str:
    meaning = "1: tokens that point the same way; 0: at right angles. The lowest 1% of patches have the first colour."
    return scale_legend(layer, meaning=meaning, low=f"≤ {number(layer.low)}", high=number(layer.high))


def similarity_line(similar: AttentionMap, query: Query, *, hint: str) -> str:
    """Whose similarity it is, and the most similar patch elsewhere in the first picture. hint: of what a click does."""
    token = "CLS token" if query.patch is None else f"{token_name(query.patch)}{OF_SECOND[query.picture]}"
    own = query.patch if query.picture == 0 else None
    best = _best_elsewhere(similar.values, own)
    words = "most similar" if own is None else "most similar elsewhere"
    other = "" if best is None else f" · {words}: {token_name(best)} ({similarity(similar.values[best])})"
    tail = f" · :small[{hint}]" if query.patch is None else ""
    return f"Query: **{token}**{other}{tail}"


def similarity_range(layer: Layer) -> str:
    """A word where all patches are nearly alike; empty elsewhere."""
    width = layer.high - layer.low
    if width >= TINY:
        return ""
    return f"Nearly all patches lie within {width:.3f} of each other: the colours show small differences."


def _best_elsewhere(values: np.ndarray, query: Patch | None) -> Patch | None:
    """The most similar patch that is neither the query nor beside it."""
    others = values.copy()
    if query is not None:
        row, col = query
        others[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2] = -np.inf
    best = np.unravel_index(int(others.argmax()), others.shape)
    return (int(best[0]), int(best[1])) if np.isfinite(others[best]) else None


def norm_legend(layer: Layer, norms: Sequence[TokenNorms], facet: str) -> str:
    beyond = any(each.values.max() > layer.high for each in norms)
    high = f"{'≥ ' if beyond else ''}{layer.high:.1f}"
    before = ", before the final norm" if facet == TOKEN else ""
    meaning = f"The Euclidean length of each patch's {facet}{before}"
    return colour_legend(colour_stops(layer.colours), f"{layer.low:.1f}", f"{high} {layer.unit}{before}", meaning)


def norm_line(norms: Sequence[TokenNorms], query: Query) -> str:
    """Of each picture: median, largest and outliers, and how long the query's is, which is in one of them."""
    patches = [query.patch if query.picture == place else None for place in range(len(norms))]
    if len(norms) == 1:
        return _lengths("Median length", norms[0], patches[0])
    leads = ("First picture: median length", "Second picture: median length")
    return "  \n".join(map(_lengths, leads, norms, patches))


def _lengths(lead: str, norms: TokenNorms, query: Patch | None) -> str:
    """lead: what stands before the median."""
    rule = f"longer than {norms.factor:g} × the median"
    places = "; ".join(token_name(patch) for patch in norms.outliers[:NAMED])
    more = len(norms.outliers) - NAMED
    where = f": {places}{f' and {more} more' if more > 0 else ''}" if places else ""
    count = _counted(len(norms.outliers))
    parts = [f"{lead} **{norms.median:.1f}**", f"largest **{norms.values.max():.1f}**", f"{count} {rule}{where}"]
    if query is not None:
        value = float(norms.values[query])
        parts.append(f"{token_name(query)}: {value:.1f}{_times(value, norms.median)}")
    return " · ".join(parts)


def _counted(outliers: int) -> str:
    if not outliers:
        return "no patch is"
    return "**1** patch is" if outliers == 1 else f"**{outliers}** patches are"


def _times(value: float, median: float) -> str:
    return f" ({value / median:.2f} × the median)" if median else ""


def similarity(value: float) -> str:
    """With a third decimal where two would say that another patch is the same."""
    text = number(value)
    return f"{value:.3f}" if text == "1.00" else text


def number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def profile_caption(norms: Sequence[TokenNorms]) -> str:
    total = sum(len(each.outliers) for each in norms)
    if not total:
        return "no outliers in any layer"
    return f"{total} outlier{'s' if total > 1 else ''} in all layers"
