"""Tokens and what was computed of them, as arrays by name: what an NPZ file holds."""

import numpy as np

from vit_engine.analysis.tokens.matches import Correspondences
from vit_engine.analysis.tokens.norms import TokenNorms
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.features import Features


def token_arrays(
    features: Features | None = None,
    *,
    pca: PcaMap | None = None,
    similarity: AttentionMap | None = None,
    norms: TokenNorms | None = None,
    matches: Correspondences | None = None,
) -> dict[str, np.ndarray]:
    """What is given, by name; grids are (prefix tokens, rows, cols, patch size in pixels).

    features: "layer_0", … (tokens, dim), the prefix first, in the precision in which they are kept and before the
    model's final norm; "grid"; of the facet "token" also "final_norm_weight", "final_norm_bias" float32 (dim,) and
    "final_norm_eps". pca: "pca_components" float32 (3, rows, cols), "pca_rgb" float32 (rows, cols, 3) in 0..1,
    "pca_explained" (3,) in 0..1; with a foreground, "pca_foreground" bool (rows, cols). similarity: "similarity"
    float32 (rows, cols), "similarity_grid". norms: "norms" float32 (rows, cols) of the patches, "norms_prefix"
    (prefix tokens,). matches: "first", "second" int (pairs, 2) of (row, col); "ratio" float32 (pairs,);
    "match_similarity" float32 (pairs,).
    """
    arrays: dict[str, np.ndarray] = {}
    if features is not None:
        arrays |= _features(features)
    if pca is not None:
        arrays |= _pca(pca)
    if similarity is not None:
        arrays |= {"similarity": similarity.values, "similarity_grid": _grid(similarity.grid)}
    if norms is not None:
        arrays |= {"norms": norms.values, "norms_prefix": norms.prefix}
    if matches is not None:
        arrays |= {name: getattr(matches, name) for name in ("first", "second", "ratio")}
        arrays["match_similarity"] = matches.similarity
    return arrays


def _features(features: Features) -> dict[str, np.ndarray]:
    arrays = {f"layer_{layer}": values for layer, values in sorted(features.layers.items())}
    arrays["grid"] = _grid(features.grid)
    if (norm := features.final_norm) is not None:
        arrays |= {"final_norm_weight": norm.weight, "final_norm_bias": norm.bias, "final_norm_eps": np.array(norm.eps)}
    return arrays


def _pca(pca: PcaMap) -> dict[str, np.ndarray]:
    arrays = {"pca_components": pca.components, "pca_rgb": pca.rgb, "pca_explained": np.array(pca.explained)}
    return arrays if pca.foreground is None else {**arrays, "pca_foreground": pca.foreground}


def _grid(grid: TokenGrid) -> np.ndarray:
    return np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size])
