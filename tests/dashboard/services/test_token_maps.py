"""Components and norms are made once for all sessions, and never mixed up."""

import numpy as np
import pytest

import vit_engine as ve
from dashboard.services import catalogue, pictures, token_maps
from dashboard.services.tokens import TokenAnalysis, TokenRequest
from tests.dashboard.support import ignore
from vit_engine.analysis.tokens import cosine
from vit_engine.grid import Query


def analysis(
    *, picture: str = "scene_1", model: str = "demo_vit_p16", size: int = 96, facet: str = "key"
) -> TokenAnalysis:
    return TokenRequest(pictures.sample_picture(picture), catalogue.models()[model], size, facet).analyse(ignore)


def test_components_are_computed_once_for_each_choice() -> None:
    choice: dict = {"layer": 3, "head": None, "foreground": None}
    first = token_maps.pca((analysis(),), **choice)
    assert token_maps.pca((analysis(),), **choice) is first
    for other in ({"layer": 2}, {"head": 1}, {"foreground": "high"}):
        assert token_maps.pca((analysis(),), **choice | other) is not first
    (expected,) = ve.pca_map([analysis().features], layer=3)
    np.testing.assert_array_equal(first[0].components, expected.components)


def test_two_pictures_are_fitted_together() -> None:
    choice: dict = {"layer": 3, "head": None, "foreground": None}
    both = analysis(), analysis(picture="scene_2")
    alone, together = token_maps.pca(both[:1], **choice), token_maps.pca(both, **choice)
    assert len(together) == 2
    assert not np.array_equal(together[0].components, alone[0].components)
    np.testing.assert_array_equal(
        together[1].components, ve.pca_map([each.features for each in both], layer=3)[1].components
    )


def test_pictures_models_sizes_and_facets_are_told_apart() -> None:
    others = {"picture": "scene_2"}, {"model": "random_demo_vit_p16"}, {"size": 128}, {"facet": "value"}
    keys = [token_maps.key_of(analysis(**other)) for other in ({}, *others)]
    assert len(set(keys)) == len(keys)


def test_similarity_is_the_engines_and_directions_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = analysis(), analysis(picture="scene_2", size=128)
    counted, make = [], cosine.directions
    monkeypatch.setattr(cosine, "directions", lambda *args, **options: counted.append(args) or make(*args, **options))
    asked: list[tuple[Query, TokenAnalysis]] = [((2, 5), first), ((2, 5), second), ("cls", second)]
    similar = [token_maps.similarity(first, *each, layer=1, head=3) for each in asked]
    assert len(counted) == 2
    for (query, compared), found in zip(asked, similar, strict=True):
        expected = ve.similarity_map(first.features, query, compared.features, layer=1, head=3)
        np.testing.assert_array_equal(found.values, expected.values)
        assert (found.label, found.unit, found.grid) == (expected.label, expected.unit, expected.grid)


def test_norms_are_of_all_layers_and_computed_once() -> None:
    norms = token_maps.norms(analysis(), head=2)
    assert token_maps.norms(analysis(), head=2) is norms
    assert token_maps.norms(analysis(), head=None) is not norms
    assert [each.layer for each in norms] == [0, 1, 2, 3, 4, 5]
    expected = ve.token_norms(analysis().features, layer=4, head=2)
    np.testing.assert_array_equal(norms[4].values, expected.values)
