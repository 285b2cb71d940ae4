"""The arrays of tokens, by name."""

import numpy as np

import vit_engine as ve
from vit_engine.image import PreparedImage
from vit_engine.report.token_arrays import token_arrays
from vit_engine.weights import LoadedModel


def test_layers_stand_under_their_numbers_with_what_the_final_norm_needs(
    small: LoadedModel, prepared: PreparedImage
) -> None:
    features = ve.features(small, prepared)
    arrays = token_arrays(features)
    assert sorted(arrays) == ["final_norm_bias", "final_norm_eps", "final_norm_weight", "grid", "layer_0", "layer_1"]
    assert arrays["grid"].tolist() == [3, 5, 7, 4]
    assert (arrays["layer_1"].dtype, arrays["layer_1"].shape) == (np.float16, (38, 12))
    tokens = arrays["layer_1"].astype(np.float64)
    centred = tokens - tokens.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + arrays["final_norm_eps"])
    expected = scaled * arrays["final_norm_weight"] + arrays["final_norm_bias"]
    np.testing.assert_allclose(features.tokens(1), expected, rtol=1e-6)


def test_keys_have_no_final_norm(small: LoadedModel, prepared: PreparedImage) -> None:
    keys = ve.features(small, prepared, layers=1, facet="key", precision="float32")
    arrays = token_arrays(keys)
    assert sorted(arrays) == ["grid", "layer_1"]
    assert arrays["layer_1"].dtype == np.float32


def test_every_view_has_its_arrays(small: LoadedModel, prepared: PreparedImage) -> None:
    features = ve.features(small, prepared)
    pca, norms = ve.pca_map(features, foreground="low"), ve.token_norms(features)
    similarity = ve.similarity_map(features, (1, 2))
    matches = ve.correspondences(features, features, ratio=1)
    arrays = token_arrays(pca=pca, similarity=similarity, norms=norms, matches=matches)
    shapes = {name: values.shape for name, values in arrays.items()}
    assert shapes == {
        "pca_components": (3, 5, 7),
        "pca_rgb": (5, 7, 3),
        "pca_explained": (3,),
        "pca_foreground": (5, 7),
        "similarity": (5, 7),
        "similarity_grid": (4,),
        "norms": (5, 7),
        "norms_prefix": (3,),
        "first": (35, 2),
        "second": (35, 2),
        "ratio": (35,),
        "match_similarity": (35,),
    }
    np.testing.assert_array_equal(arrays["similarity"], similarity.values)
    np.testing.assert_array_equal(arrays["pca_components"], pca.components)
    np.testing.assert_array_equal(arrays["norms_prefix"], norms.prefix)
    np.testing.assert_array_equal(arrays["first"], arrays["second"])
    np.testing.assert_array_equal(arrays["match_similarity"], matches.similarity)
