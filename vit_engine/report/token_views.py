"""What is drawn of the tokens of one picture or two, and the words to it: components, similarity, norms, matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vit_engine.analysis.maps.mask import contours
from vit_engine.analysis.tokens.matches import Correspondences
from vit_engine.analysis.tokens.norms import TokenNorms
from vit_engine.analysis.tokens.pca import HIGH, LOW, PcaMap
from vit_engine.errors import SpecError
from vit_engine.grid import Query, token_name
from vit_engine.report.colours import colour_stops
from vit_engine.report.panels import Legend, Panel, grey
from vit_engine.report.style import Zoom
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.features import Features

NORM_UNIT = "Euclidean length of a token, before the final norm"
LINES = 150  # more, between two pictures, cannot be told apart
OPACITY = 0.8  # of maps over their grey picture
_NAMED_OUTLIERS = 6


@dataclass(frozen=True, eq=False)
class TokenPicture:
    """A picture and what its tokens carry. SpecError for pixels of another size than the features'."""

    features: Features
    pixels: np.ndarray  # uint8 (height, width, 3), as PreparedImage has them
    name: str = "picture"  # what to call it, such as its file's name
    zoom: Zoom | None = None  # the part that is shown, in its pixels; None for all of it

    def __post_init__(self) -> None:
        grid = self.features.grid
        if self.pixels.shape != (grid.height, grid.width, 3):
            raise SpecError(
                f"the pixels of {self.name!r} must be those that its features are of, {(grid.height, grid.width, 3)}; "
                f"got {self.pixels.shape}."
            )

    @property
    def title(self) -> str:
        grid = self.features.grid
        return f"{self.name} · {grid.height} × {grid.width} px, {grid.rows} × {grid.cols} patches"

    def panel(self, title: str, *, query: Query | None = None, dull: bool = False, **options: Any) -> Panel:
        """A pane of it. query: marked, but for the CLS token. dull: grey, under colours that mean something."""
        pixels = grey(self.pixels) if dull else self.pixels
        patch = None if isinstance(query, str) else query
        grid = self.features.grid
        return Panel("", title, pixels=pixels, grid=grid, patches=grid, patch=patch, **options)


@dataclass(frozen=True, eq=False)
class PcaView:
    """Each picture beside its principal components in colours. maps: as pca_map() gives them, of these pictures.

    fitted: to how many pictures together; by default to those that are shown.
    """

    pictures: tuple[TokenPicture, ...]
    maps: tuple[PcaMap, ...]
    fitted: int | None = None

    def __post_init__(self) -> None:
        _check(self.pictures, self.maps)

    def lines(self) -> list[str]:
        first, shares = self.maps[0], [100 * share for share in self.maps[0].explained]
        parts = ", ".join(f"{share:.1f}" for share in shares)
        fitted = self.fitted or len(self.pictures)
        joint = f" · fitted to {fitted} pictures together" if fitted > 1 else ""
        whole = "the variance" if first.foreground is None else "the foreground's variance"
        lines = [
            f"{_model(self.pictures)} · {first.label}{joint}",
            f"Red, green, blue: the first, second and third component: {parts} % of {whole}, {sum(shares):.1f} % "
            f"in all · colours from the {LOW:.0f}nd to the {HIGH:.0f}th percentile of each",
        ]
        if first.foreground is not None:
            masks = [shown.foreground for shown in self.maps if shown.foreground is not None]
            inside, patches = sum(int(mask.sum()) for mask in masks), sum(mask.size for mask in masks)
            lines.append(
                f"Foreground: {inside} of {patches} patches, those on one side of the first component of all; the rest "
                "is grey"
            )
        return lines

    def rows(self) -> list[list[Panel]]:
        return [
            [picture.panel(picture.title), picture.panel("principal components", dull=True, image=_opaque(shown))]
            for picture, shown in zip(self.pictures, self.maps, strict=True)
        ]

    def legend(self) -> Legend | None:
        return None


@dataclass(frozen=True, eq=False)
class SimilarityView:
    """Each picture beside the similarity of its patches to one token of the first picture, on one scale.

    maps: as similarity_map() gives them. query: of the first picture, as they have it. low, high: where
    colours begin and end; by default the smallest and the largest value.
    """

    pictures: tuple[TokenPicture, ...]
    maps: tuple[AttentionMap, ...]
    query: Query = "cls"
    low: float | None = None
    high: float | None = None
    colours: str = "inferno"

    def __post_init__(self) -> None:
        _check(self.pictures, self.maps)

    def lines(self) -> list[str]:
        of_first = " of the first picture" if len(self.pictures) > 1 else ""
        named = token_name(self.query)
        label = self.maps[0].label.replace(named, named + of_first, 1)
        return [f"{_model(self.pictures)} · {label}"]

    def rows(self) -> list[list[Panel]]:
        values = [shown.values for shown in self.maps]
        return _map_rows(self.pictures, values, self._scale, self.maps[0].unit, query=self.query)

    def legend(self) -> Legend | None:
        return _legend([shown.values for shown in self.maps], self._scale, self.maps[0].unit)

    @property
    def _scale(self) -> "_Scale":
        return _Scale.of([shown.values for shown in self.maps], self.low, self.high, self.colours)


@dataclass(frozen=True, eq=False)
class NormsView:
    """Each picture beside the lengths of its tokens, on one scale; outliers are outlined. maps: of token_norms().

    low, high: where colours begin and end; by default the smallest and the largest value.
    """

    pictures: tuple[TokenPicture, ...]
    maps: tuple[TokenNorms, ...]
    low: float | None = None
    high: float | None = None
    colours: str = "viridis"

    def __post_init__(self) -> None:
        _check(self.pictures, self.maps)

    def lines(self) -> list[str]:
        several = len(self.pictures) > 1
        words = [
            f"{picture.name}: {norms_in_words(norms)}" if several else norms_in_words(norms)
            for picture, norms in zip(self.pictures, self.maps, strict=True)
        ]
        return [f"{_model(self.pictures)} · {self.maps[0].label}", *words]

    def rows(self) -> list[list[Panel]]:
        outlines = [_outlines(norms) for norms in self.maps]
        values = [norms.values for norms in self.maps]
        return _map_rows(self.pictures, values, self._scale, "length of tokens", outlines=outlines)

    def legend(self) -> Legend | None:
        return _legend([norms.values for norms in self.maps], self._scale, NORM_UNIT)

    @property
    def _scale(self) -> "_Scale":
        return _Scale.of([norms.values for norms in self.maps], self.low, self.high, self.colours)


@dataclass(frozen=True, eq=False)
class MatchesView:
    """Two pictures side by side, with a line between the patches of each pair; at most `most`, the clearest."""

    pictures: tuple[TokenPicture, TokenPicture]
    matches: Correspondences
    most: int = LINES

    def __post_init__(self) -> None:
        _check(self.pictures, self.matches)

    def lines(self) -> list[str]:
        matches, drawn = self.matches, self.drawn()
        count = f"{len(matches)} of {matches.candidates} pairs of mutual nearest neighbours are kept"
        lines = [f"{_model(self.pictures)} · {matches.label}"]
        if not len(matches):
            return [*lines, f"{count}: no pair is clear enough"]
        shown = "" if len(drawn) == len(matches) else f", the {len(drawn)} clearest are drawn"
        least, most = (number(value) for value in (matches.similarity.min(), matches.similarity.max()))
        return [
            *lines,
            f"{count}{shown} · cosine similarity {least} to {most} · distance ratio to the second best up to "
            f"{number(matches.ratio.max())}",
            "The colour of a pair, line and ends, is its place in the first picture, from left to right",
        ]

    def drawn(self) -> Correspondences:
        return self.matches.best(self.most)

    def rows(self) -> list[list[Panel]]:
        return [[picture.panel(picture.title) for picture in self.pictures]]

    def legend(self) -> Legend | None:
        return None


TokenView = PcaView | SimilarityView | NormsView | MatchesView


def _check(pictures: Sequence[TokenPicture], maps: Sequence[Any] | Correspondences) -> None:
    """SpecError unless each map is on the grid of its picture."""
    expected = [picture.features.grid for picture in pictures]
    grids = list(maps.grids) if isinstance(maps, Correspondences) else [shown.grid for shown in maps]
    if not expected or grids != expected:
        raise SpecError(f"each picture needs a map of its own grid, {expected}; got {grids}.")


def _model(pictures: Sequence[TokenPicture]) -> str:
    return pictures[0].features.spec.title or pictures[0].features.spec.name


def number(value: float) -> str:
    """A number for people, three digits."""
    return f"{float(value):.3g}".replace("-", "−")


def norms_in_words(norms: TokenNorms) -> str:
    """ "median 43.1 · largest 57.0 · no patch is longer than 3 × the median"."""
    largest, count = float(norms.values.max()), len(norms.outliers)
    parts = [f"median {norms.median:.1f}", f"largest {largest:.1f}", f"CLS token {norms.prefix[0]:.1f}"]
    rule = f"longer than {norms.factor:g} × the median"
    if not count:
        return " · ".join([*parts, f"no patch is {rule}"])
    places = ", ".join(f"({row}, {col})" for row, col in norms.outliers[:_NAMED_OUTLIERS])
    more = ", …" if count > _NAMED_OUTLIERS else ""
    patches = f"{count} patch is" if count == 1 else f"{count} patches are"
    return " · ".join([*parts, f"{patches} {rule}, at (row, column) {places}{more}"])


def _opaque(shown: PcaMap) -> np.ndarray:
    """Its colours, uint8 (rows, cols, 4), clear outside the foreground."""
    inside = np.ones(shown.grid.shape, dtype=bool) if shown.foreground is None else shown.foreground
    return np.dstack([np.round(255 * shown.rgb), 255 * inside]).astype(np.uint8)


def _outlines(norms: TokenNorms) -> tuple[np.ndarray, ...]:
    mask = norms.values > norms.limit
    return tuple(((line + 0.5) * norms.grid.patch_size).astype(np.float32) for line in contours(mask))


@dataclass(frozen=True)
class _Scale:
    """Where colours begin and end, and which."""

    low: float
    high: float
    colours: str

    @classmethod
    def of(cls, maps: Sequence[np.ndarray], low: float | None, high: float | None, colours: str) -> "_Scale":
        values = np.concatenate([each.ravel() for each in maps])
        start = float(values.min()) if low is None else low
        end = float(values.max()) if high is None else high
        return cls(start, end if end > start else start + 1.0, colours)


def _map_rows(
    pictures: Sequence[TokenPicture],
    maps: Sequence[np.ndarray],
    scale: _Scale,
    title: str,
    *,
    query: Query | None = None,
    outlines: Sequence[tuple[np.ndarray, ...]] | None = None,
) -> list[list[Panel]]:
    """A row a picture: itself, and its map over its grey self. query: of the first."""
    rows = []
    ends: dict[str, Any] = {"low": scale.low, "high": scale.high, "stops": colour_stops(scale.colours)}
    for place, (picture, values) in enumerate(zip(pictures, maps, strict=True)):
        marked = query if place == 0 else None
        lines = outlines[place] if outlines else ()
        drawn = picture.panel(title, query=marked, dull=True, coloured=values, outlines=lines, **ends)
        rows.append([picture.panel(picture.title, query=marked), drawn])
    return rows


def _legend(maps: Sequence[np.ndarray], scale: _Scale, unit: str) -> Legend:
    """What stands at the ends says where values lie beyond them."""
    low, high = number(scale.low), number(scale.high)
    below = any(float(each.min()) < scale.low for each in maps)
    above = any(float(each.max()) > scale.high for each in maps)
    middle = number((scale.low + scale.high) / 2)
    ends = f"{low} or less" if below else low, middle, f"{high} or more" if above else high
    return Legend(*ends, unit, colour_stops(scale.colours))
