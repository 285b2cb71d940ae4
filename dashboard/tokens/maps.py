"""What a view of the page Tokens shows of one picture, or of several alike: the engine's results, and their colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.services import token_maps
from dashboard.services.tokens import TokenAnalysis
from dashboard.tokens.figures import Layer, Patch
from dashboard.tokens.state import TokensView
from vit_engine import AttentionMap, PcaMap, TokenNorms

LOW = 1.0  # percentile of similarity where its colours begin


@dataclass(frozen=True)
class Query:
    """The patch that is asked for, None for the CLS token, and the picture it is of: 0 the first, 1 the second."""

    patch: Patch | None
    picture: int = 0


@dataclass(frozen=True, eq=False)
class Maps:
    """Of each picture the result of the view, an error of the engine apart, and what lies over it."""

    results: tuple[PcaMap, ...] | tuple[AttentionMap, ...] | tuple[TokenNorms, ...]
    layers: tuple[Layer, ...]

    @property
    def outliers(self) -> tuple[Patch, ...]:
        """Of the first picture; none but in the view of norms."""
        first = self.results[0]
        return first.outliers if isinstance(first, TokenNorms) else ()


def maps(analyses: Sequence[TokenAnalysis], view: TokensView, *, layer: int, query: Query, colours: str) -> Maps:
    """What the view shows of a layer, in colours that mean the same in all pictures; SpecError where it cannot be.

    colours: a name in COLOUR_SCALES.
    """
    several, head = tuple(analyses), view.one_head
    if view.view == "pca":
        pcas = token_maps.pca(several, layer=layer, head=head, foreground=view.foreground or None)
        return Maps(pcas, tuple(map(_pca_layer, pcas)))
    if view.view == "norms":
        norms = tuple(of_layer(token_maps.norms(each, head=head), layer) for each in several)
        return Maps(norms, _norm_layers(norms, view.facet, colours))
    asked, token = several[query.picture], "cls" if query.patch is None else query.patch
    similar = tuple(token_maps.similarity(asked, token, each, layer=layer, head=head) for each in several)
    return Maps(similar, _similarity_layers(similar, colours))


def of_layer(norms: Sequence[TokenNorms], layer: int) -> TokenNorms:
    """The norms of one layer among those of all."""
    return next(each for each in norms if each.layer == layer)


_WHERE = "patch row %{y}, col %{x}"


def _pca_layer(pca: PcaMap) -> Layer:
    """Clear outside the foreground."""
    rgb = (pca.rgb * 255).round().astype(np.uint8)
    if pca.foreground is not None:
        alpha = np.where(pca.foreground, 255, 0).astype(np.uint8)
        rgb = np.concatenate([rgb, alpha[..., None]], axis=-1)
    parts = " · ".join(f"{name} %{{customdata[{place}]:.1f}}" for place, name in enumerate(("red", "green", "blue")))
    return Layer(hover=f"{_WHERE}<br>components: {parts}", rgb=rgb, data=pca.components.transpose(1, 2, 0))


def _similarity_layers(similar: tuple[AttentionMap, ...], colours: str) -> tuple[Layer, ...]:
    every = np.concatenate([each.values.ravel() for each in similar])
    low, high = _ends(float(np.percentile(every, LOW)), float(every.max()))
    hover = f"{_WHERE}<br>cosine similarity %{{z:.3f}}"
    return tuple(
        Layer(hover=hover, values=each.values, low=low, high=high, colours=colours, unit=each.unit) for each in similar
    )


def _norm_layers(norms: tuple[TokenNorms, ...], facet: str, colours: str) -> tuple[Layer, ...]:
    """From the shortest to the longest; where some stand out, to their limit, or the others would look all alike."""
    low = min(float(each.values.min()) for each in norms)
    low, high = _ends(low, max(each.limit if each.outliers else float(each.values.max()) for each in norms))
    hover = f"{_WHERE}<br>length of the {facet} %{{z:.1f}}"
    return tuple(
        Layer(hover=hover, values=each.values, low=low, high=high, colours=colours, unit=f"length of the {facet}")
        for each in norms
    )


def _ends(low: float, high: float) -> tuple[float, float]:
    """Of equal values, too, a scale has two ends."""
    return low, high if high > low else low + 1e-6
