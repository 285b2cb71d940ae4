"""What the page Tokens shows, as files; each is made once it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.links.zoom import zoom_in_pixels
from dashboard.services.pictures import Picture
from dashboard.services.tokens import TokenAnalysis
from dashboard.shell.formatting import file_name
from dashboard.tokens.figures import Patch
from dashboard.tokens.maps import Maps
from dashboard.tokens.state import TokensView
from vit_engine import AttentionMap, PcaMap, TokenNorms
from vit_engine.planning.plan import FACETS
from vit_engine.report.archive import as_npz
from vit_engine.report.token_arrays import token_arrays
from vit_engine.report.token_sheets import token_sheet
from vit_engine.report.token_views import NormsView, PcaView, SimilarityView, TokenPicture, TokenView

Part = tuple[Picture, TokenAnalysis]
_SHEET = "The picture and its map, with a title, what the colours mean, and whose picture it is."
_ARRAYS = "Arrays by name: this layer's features, and what is shown of them."
_KINDS = {  # of a file: its media type, the key of its button, and its help
    "png": ("image/png", keys.DOWNLOAD_TOKENS_PNG, _SHEET),
    "svg": ("image/svg+xml", keys.DOWNLOAD_TOKENS_SVG, _SHEET),
    "npz": ("application/octet-stream", keys.DOWNLOAD_TOKENS, _ARRAYS),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """A view of one picture, or of two. query: the patch that was asked for, in the picture `asked`; None for CLS."""

    parts: Sequence[Part]
    maps: Maps
    view: TokensView
    layer: int
    query: Patch | None
    asked: int = 0

    @property
    def name(self) -> str:
        """Of its files, without an ending."""
        view, head = self.view, "" if self.view.one_head is None else f"-head-{self.view.one_head}"
        return file_name(
            f"{view.view}-{FACETS[view.facet]}-layer-{self.layer}{head}-{self.parts[0][1].features.spec.name}"
        )

    def file(self, kind: str) -> bytes:
        """kind: "png" or "svg", a sheet; or "npz", its arrays."""
        return as_npz(self.arrays()) if kind == "npz" else token_sheet(self._sheet(), kinds=(kind,))[kind]

    def arrays(self) -> dict[str, np.ndarray]:
        """As token_arrays() names them, with the choices; the second picture's names begin with "second_"."""
        places = range(len(self.parts))
        arrays = {f"{_prefix(place)}{name}": values for place in places for name, values in self._of(place).items()}
        view, result = self.view, self.maps.results[0]
        arrays |= {"facet": np.array(view.facet), "layer": np.array(self.layer), "label": np.array(result.label)}
        if view.one_head is not None:
            arrays["head"] = np.array(view.one_head)
        if self.query is not None and isinstance(result, AttentionMap):
            arrays[f"{_prefix(self.asked)}query"] = np.array(self.query)
        return arrays

    def _of(self, place: int) -> dict[str, np.ndarray]:
        features, result = self.parts[place][1].features, self.maps.results[place]
        kept = replace(features, layers={self.layer: features.layers[self.layer]}, computed={})
        if isinstance(result, PcaMap):
            return token_arrays(kept, pca=result)
        if isinstance(result, TokenNorms):
            return token_arrays(kept, norms=result)
        return token_arrays(kept, similarity=result)

    def _sheet(self) -> TokenView:
        pictures = tuple(_sheet_picture(*part) for part in self.parts)
        if self.view.zoom is not None:
            grid = pictures[0].features.grid
            part = zoom_in_pixels(self.view.zoom, (grid.height, grid.width))
            pictures = (replace(pictures[0], zoom=part), *pictures[1:])
        return self._sheet_of(pictures)

    def _sheet_of(self, pictures: tuple[TokenPicture, ...]) -> TokenView:
        layer, results = self.maps.layers[0], self.maps.results
        pcas = tuple(each for each in results if isinstance(each, PcaMap))
        if pcas:
            return PcaView(pictures, pcas)
        scale: dict[str, Any] = {"low": layer.low, "high": layer.high, "colours": layer.colours}
        norms = tuple(each for each in results if isinstance(each, TokenNorms))
        if norms:
            return NormsView(pictures, norms, **scale)
        similar = tuple(each for each in results if isinstance(each, AttentionMap))
        order = slice(None, None, -1 if self.asked else 1)  # the picture of the query comes first
        return SimilarityView(pictures[order], similar[order], "cls" if self.query is None else self.query, **scale)


def popover(shown: Shown) -> None:
    """The files of a view."""
    with st.popover("Export", icon=":material/download:", key=keys.TOKEN_EXPORT):
        for kind, (media, key, words) in _KINDS.items():
            name, make = f"{shown.name}.{kind}", partial(shown.file, kind)
            options: dict[str, Any] = {"key": key, "help": words, "on_click": "ignore", "type": "tertiary"}
            st.download_button(kind.upper(), make, name, media, icon=":material/download:", **options)


def _prefix(place: int) -> str:
    return "second_" if place else ""


def _sheet_picture(picture: Picture, analysis: TokenAnalysis) -> TokenPicture:
    credit = f" ({picture.credit})" if picture.credit else ""
    return TokenPicture(analysis.features, analysis.pixels, f"{picture.title}{credit}")
