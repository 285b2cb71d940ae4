"""Cosine similarity is NumPy's, of a patch or the CLS token, in its own picture or in another."""

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.tokens.builders import features_of, noise
from vit_engine.errors import SpecError

SHAPE, OTHER = (4, 5), (3, 6)


def cosine(patches: np.ndarray, token: np.ndarray) -> np.ndarray:
    return patches @ token / np.linalg.norm(patches, axis=1) / np.linalg.norm(token)


@pytest.mark.parametrize(("facet", "several"), [("token", "tokens"), ("key", "keys"), ("query", "queries")])
def test_a_patch_against_all_patches_of_its_picture(facet: str, several: str) -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, facet=facet)
    patches = features.patches()
    similar = ve.similarity_map(features, (2, 3))
    np.testing.assert_allclose(similar.values.ravel(), cosine(patches, patches[2 * 5 + 3]), atol=1e-6)
    assert similar.values[2, 3] == pytest.approx(1)
    assert similar.unit == "cosine similarity"
    assert similar.label == f"similarity to patch row 2, col 3 · {several} of layer 0"


def test_a_patch_against_another_picture_of_another_size() -> None:
    first = features_of({0: noise(0, SHAPE, 8), 1: noise(2, SHAPE, 8)}, shape=SHAPE, heads=2)
    second = features_of({0: noise(1, OTHER, 8), 1: noise(3, OTHER, 8)}, shape=OTHER, heads=2)
    similar = ve.similarity_map(first, (0, 1), second, layer=0, head=1)
    expected = cosine(second.patches(0, head=1), first.patches(0, head=1)[1])
    np.testing.assert_allclose(similar.values, expected.reshape(OTHER), atol=1e-6)
    assert similar.grid == second.grid


def test_the_cls_token_as_the_query() -> None:
    prefix = noise(5, (1, 3), 8)
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, registers=2, prefix=prefix)
    np.testing.assert_allclose(
        ve.similarity_map(features, "cls").values.ravel(), cosine(features.patches(), features.tokens()[0]), atol=1e-6
    )


def test_a_region_is_the_mean_of_its_patches_similarities() -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE)
    each = [ve.similarity_map(features, (row, col)).values for row in (1, 2) for col in (0, 1, 2)]
    similar = ve.similarity_map(features, (1, 0, 2, 2))
    np.testing.assert_allclose(similar.values, np.mean(each, axis=0), atol=1e-6)
    assert similar.label == "similarity to region of rows 1–2, cols 0–2 · keys of layer 0"


def test_patches_without_direction_are_like_nothing() -> None:
    patches = noise(0, SHAPE, 8)
    patches[7] = 0
    features = features_of({0: patches}, shape=SHAPE)
    assert ve.similarity_map(features, (0, 0)).values[1, 2] == 0
    with pytest.raises(SpecError, match="patch row 1, col 2 carries zeros in layer 0"):
        ve.similarity_map(features, (1, 2))
    with pytest.raises(SpecError, match="region of rows 1–1, cols 1–3 carries zeros in layer 0"):
        ve.similarity_map(features, (1, 1, 1, 3))


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ((4, 0), {}, r"row in 0\.\.3"),
        ("register", {}, "query"),
        ((0, 0), {"layer": 1}, "layer"),
        ((0, 0), {"head": 2}, "head"),
    ],
)
def test_what_is_not_there_is_refused(query: object, options: dict[str, int], message: str) -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE)
    with pytest.raises(SpecError, match=message):
        ve.similarity_map(features, query, **options)  # type: ignore[arg-type]


def test_pictures_of_two_models_do_not_compare() -> None:
    first, other = (features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, name=name) for name in ("one", "two"))
    with pytest.raises(SpecError, match=r"got 'key' of 'one' \(the query's picture\) and 'key' of 'two'"):
        ve.similarity_map(first, (0, 0), other)
