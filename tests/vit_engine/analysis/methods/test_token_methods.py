"""Tokens as panes show them: what a run makes itself, on shared axes, and what it is refused without."""

import dataclasses
import re

import numpy as np
import pytest

import vit_engine as ve
from vit_engine.analysis import methods
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS, find_method
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, Features, attend, features
from vit_engine.trace.attention_map import Quantity
from vit_engine.weights import LoadedModel

PCA, SIMILARITY = map(find_method, ("pca", "similarity"))


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


@pytest.fixture(scope="module")
def tokens(small: LoadedModel, prepared: PreparedImage) -> Features:
    return features(small, prepared)


def test_they_stand_beside_the_methods_of_attention() -> None:
    assert [method.name for method in TOKEN_METHODS] == ["pca", "similarity"]
    assert not set(TOKEN_METHODS) & set(METHODS)
    assert not any(method.per_head for method in TOKEN_METHODS)


@pytest.mark.parametrize("query", ["cls", (4, 6)])
def test_similarity_is_the_cosine_of_tokens_behind_the_final_norm(
    trace: AttentionTrace, tokens: Features, query: str | tuple[int, int]
) -> None:
    found = SIMILARITY.attribute(ve.Run(trace, features=tokens), layer=0, head=2, query=query)
    unit = tokens.tokens(0) / np.linalg.norm(tokens.tokens(0), axis=1, keepdims=True)
    expected = (unit[3:] @ unit[0 if query == "cls" else 3 + 4 * 7 + 6]).reshape(5, 7)
    np.testing.assert_allclose(found.map.values, expected, atol=1e-6)
    assert found.heads.tolist() == [found.map.values.tolist()]
    name = "CLS" if query == "cls" else "patch row 4, col 6"
    assert found.map.label == f"token similarity · layer 0 · query {name}"
    assert (found.map.unit, found.map.quantity) == ("cosine similarity", Quantity.INTENSIVE)


@pytest.mark.parametrize("fitted_to", [(), (0,), (0, 1), (1, 0)])
def test_a_map_of_pca_is_the_first_component_with_the_colours_of_all(
    trace: AttentionTrace, tokens: Features, fitted_to: tuple[int, ...]
) -> None:
    found = PCA.attribute(ve.Run(trace, features=tokens), layer=0, query=(1, 1), fitted_to=fitted_to)
    fresh = dataclasses.replace(tokens, computed={})
    expected = layers_pca(fresh, fitted_to or (0,))[0]
    assert found.pca is not None
    np.testing.assert_array_equal(found.pca.rgb, expected.rgb)
    np.testing.assert_array_equal(found.heads, expected.components)
    np.testing.assert_array_equal(found.map.values, expected.components[0])
    assert found.map.label == "PCA of tokens · layer 0"
    assert (found.map.unit, found.map.quantity) == ("first principal component", Quantity.FITTED)


def test_a_run_makes_the_features_of_its_layers_itself_and_once(
    small: LoadedModel, prepared: PreparedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*args: object, **options: object) -> Features:
        made.append(options)
        return features(*args, **options)

    monkeypatch.setattr("vit_engine.analysis.run.features", counted)
    run = ve.Run(attend(small, prepared, layers=[1]), small, prepared)
    for method in TOKEN_METHODS:
        assert np.isfinite(method.attribute(run, layer=1).map.values).all()
    assert made == [{"layers": (1,)}]
    assert find_method("raw").attribute(ve.Run(run.trace, small, prepared)).pca is None
    assert len(made) == 1
    with pytest.raises(ve.SpecError, match="layer 0 was not kept"):
        SIMILARITY.attribute(run, layer=0)


@pytest.mark.parametrize("method", TOKEN_METHODS, ids=lambda method: method.name)
def test_without_tokens_and_model_they_are_refused(
    method: ve.Method, trace: AttentionTrace, small: LoadedModel
) -> None:
    message = (
        f"the method {method.name!r} needs a trace and what its tokens carry; got a trace alone. "
        "Pass Run(trace, loaded, prepared) or Run(trace, features=…)."
    )
    for run in (trace, ve.Run(trace, small)):
        with pytest.raises(ve.SpecError, match=re.escape(message)):
            method.attribute(run)


def test_features_of_another_picture_model_or_facet_are_refused(
    trace: AttentionTrace, tokens: Features, small: LoadedModel, prepared: PreparedImage
) -> None:
    with pytest.raises(ve.SpecError, match="needs the trace's picture, sha256"):
        ve.Run(trace, features=dataclasses.replace(tokens, image_sha256="0" * 64))
    with pytest.raises(ve.SpecError, match="needs features 'token' of the trace's model, 'small'; got 'token' of 'o'"):
        ve.Run(trace, features=dataclasses.replace(tokens, spec=dataclasses.replace(tokens.spec, name="o")))
    with pytest.raises(ve.SpecError, match="got 'key' of 'small'"):
        ve.Run(trace, features=features(small, prepared, facet="key"))


def test_a_misspelt_one_is_told_with_the_nearest() -> None:
    with pytest.raises(ve.SpecError, match="did you mean 'similarity'"):
        methods.find_method("similarty")
