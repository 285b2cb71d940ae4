"""What the page Tokens shows, as files; each is made once it is asked for."""

import io
from functools import partial

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.services.tokens import TokenAnalysis
from dashboard.shell.formatting import file_name
from dashboard.tokens.maps import Maps
from dashboard.tokens.state import TokensView
from vit_engine import AttentionMap, PcaMap

NPZ_HELP = "The view's numbers by name: the features of this layer as float16, the map, rows and columns, the layer."


def popover(analysis: TokenAnalysis, drawn: Maps, view: TokensView, *, layer: int) -> None:
    spec, facet = analysis.features.spec, view.facet
    head = "" if view.one_head is None else f"-head-{view.one_head}"
    name = file_name(f"{view.view}-{facet}s-layer-{layer}{head}-{spec.name}")
    with st.popover("Export", icon=":material/download:", key=keys.TOKEN_EXPORT):
        st.download_button(
            "NPZ: numbers",
            partial(arrays_file, analysis, drawn, view, layer=layer),
            f"{name}.npz",
            "application/octet-stream",
            key=keys.DOWNLOAD_TOKENS,
            help=NPZ_HELP,
            on_click="ignore",
        )


def arrays_file(analysis: TokenAnalysis, drawn: Maps, view: TokensView, *, layer: int) -> bytes:
    """An NPZ file of the view's arrays."""
    buffer, named = io.BytesIO(), arrays(analysis, drawn, view, layer=layer)
    np.savez_compressed(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def arrays(analysis: TokenAnalysis, drawn: Maps, view: TokensView, *, layer: int) -> dict[str, np.ndarray]:
    """The first picture's, by name: "features" float16 (tokens, dim), and what the view makes of them, (rows, cols)."""
    features, result = analysis.features, drawn.results[0]
    grid = features.grid
    kept = {
        "features": features.layers[layer][:, features.columns(view.one_head)],
        "facet": np.array(view.facet),
        "layer": np.array(layer),
        "grid": np.array(grid.shape),
        "patch_size": np.array(grid.patch_size),
        "prefix_tokens": np.array(grid.prefix),
        "label": np.array(result.label),
    }
    if view.one_head is not None:
        kept["head"] = np.array(view.one_head)
    return kept | _of_view(result)


def _of_view(result: object) -> dict[str, np.ndarray]:
    if isinstance(result, PcaMap):
        colours = {"components": result.components, "rgb": result.rgb, "explained": np.array(result.explained)}
        return colours if result.foreground is None else {**colours, "foreground": result.foreground}
    if isinstance(result, AttentionMap):
        return {"similarity": result.values}
    norms = {name: getattr(result, name) for name in ("values", "prefix", "median", "limit", "outliers")}
    return {"norms" if name == "values" else name: np.array(value) for name, value in norms.items()}
