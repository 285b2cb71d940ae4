"""Principal components are NumPy's up to sign, and their signs are the same from layer to layer and size to size."""

import dataclasses
import itertools

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.tokens.builders import features_of, noise
from vit_engine.analysis.tokens import pca
from vit_engine.demo.scenes import draw_scene
from vit_engine.errors import SpecError
from vit_engine.trace import Features

SHAPE = (6, 7)


def by_svd(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first three components (3, patches) up to sign, and the shares of variance that all explain."""
    centred = patches - patches.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    return axes[:3] @ centred.T, lengths**2 / (lengths**2).sum()


def same_up_to_sign(found: np.ndarray, expected: np.ndarray, within: float = 1e-5) -> None:
    for component, reference in zip(found.reshape(3, -1), expected, strict=True):
        sign = np.sign(component @ reference)
        np.testing.assert_allclose(sign * component, reference, rtol=0, atol=within * np.abs(reference).max())


@pytest.mark.parametrize("dim", [5, 16, 60], ids=lambda dim: f"{dim} numbers, {SHAPE[0] * SHAPE[1]} patches")
def test_components_are_numpys(dim: int) -> None:
    features = features_of({0: noise(0, SHAPE, dim)}, shape=SHAPE)
    found, (components, shares) = ve.pca_map(features), by_svd(features.patches())
    same_up_to_sign(found.components, components)
    np.testing.assert_allclose(found.explained, shares[:3], atol=1e-6)
    assert found.label == "PCA of keys of layer 0"


def test_tokens_have_passed_the_final_norm() -> None:
    features = features_of({0: noise(0, SHAPE, 12)}, shape=SHAPE, facet="token")
    centred = features.layers[0][1:].astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
    same_up_to_sign(ve.pca_map(features).components, by_svd(normed)[0])


def test_one_heads_components_are_of_its_numbers_alone() -> None:
    patches = noise(0, SHAPE, 12)
    features = features_of({0: patches}, shape=SHAPE, heads=3)
    same_up_to_sign(ve.pca_map(features, head=1).components, by_svd(features.patches()[:, 4:8])[0])


def test_several_pictures_are_fitted_together() -> None:
    first = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE)
    second = features_of({0: noise(1, (3, 5), 8) + 2}, shape=(3, 5))
    maps = ve.pca_map([first, second])
    both = np.concatenate([each.components.reshape(3, -1) for each in maps], axis=1)
    expected, shares = by_svd(np.concatenate([first.patches(), second.patches()]))
    same_up_to_sign(both, expected)
    assert [each.rgb.shape for each in maps] == [(6, 7, 3), (3, 5, 3)]
    for each in maps:
        np.testing.assert_allclose(each.explained, shares[:3], atol=1e-6)
    alone = ve.pca_map(first).components
    assert (np.einsum("kij,kij->k", maps[0].components, alone) > 0).all(), "signs are the first picture's own"


def test_the_first_of_several_pictures_may_be_too_small_to_be_fitted_alone() -> None:
    small, large = (
        features_of({0: noise(1, (1, 2), 8)}, shape=(1, 2)),
        features_of({0: noise(2, SHAPE, 8)}, shape=SHAPE),
    )
    maps, (expected, _) = ve.pca_map([small, large]), by_svd(np.concatenate([small.patches(), large.patches()]))
    found = np.concatenate([each.components.reshape(3, -1) for each in maps], axis=1)
    same_up_to_sign(found, expected)


@pytest.mark.parametrize("dim", [5, 60], ids=lambda dim: f"{dim} numbers")
def test_a_direction_in_which_nothing_differs_has_components_of_zero_and_no_colour(dim: int) -> None:
    two_kinds = np.random.default_rng(0).standard_normal((2, dim))[np.arange(42) % 2]
    found = ve.pca_map(features_of({0: two_kinds}, shape=SHAPE))
    assert found.explained == (pytest.approx(1), 0, 0)
    assert np.abs(found.components[0]).min() > 0.1
    np.testing.assert_array_equal(found.components[1:], 0)
    np.testing.assert_array_equal(found.rgb[..., 1:], 0.5)


def test_colours_run_from_the_second_to_the_98th_percentile_of_all_pictures() -> None:
    first, second = (features_of({0: noise(seed, SHAPE, 8)}, shape=SHAPE) for seed in (0, 1))
    maps = ve.pca_map((first, second))
    both = np.stack([each.components for each in maps], axis=1)
    for channel in range(3):
        low, high = np.percentile(both[channel], (2, 98))
        expected = ((both[channel] - low) / (high - low)).clip(0, 1)
        np.testing.assert_allclose(np.stack([each.rgb[..., channel] for each in maps]), expected, atol=1e-5)


@pytest.mark.parametrize("side", ["high", "low"])
def test_the_foreground_is_one_side_of_the_first_component_and_fitted_again(side: str) -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE)
    first = ve.pca_map(features).components[0]
    found = ve.pca_map(features, foreground=side)
    inside = first > 0 if side == "high" else first < 0
    np.testing.assert_array_equal(found.foreground, inside)
    same_up_to_sign(found.components[:, inside], by_svd(features.patches()[inside.ravel()])[0])
    assert np.isnan(found.components[:, ~inside]).all()
    assert not found.rgb[~inside].any()


@pytest.fixture(scope="module")
def scenes() -> dict[int, Features]:
    """One generated scene in a trained model, by size."""
    pixels, loaded = draw_scene(25, (320, 448)).pixels, ve.load_model("demo_vit_p8")
    return {size: ve.features(loaded, pixels, size=size) for size in (160, 224, 320)}


def correlations(first: np.ndarray, second: np.ndarray) -> list[float]:
    return [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(first, second, strict=True)]


def test_signs_are_kept_from_layer_to_layer(scenes: dict[int, Features]) -> None:
    """Where components go on from one layer to the next; others have nothing to keep."""
    neighbours = [
        correlation
        for features in scenes.values()
        for pair in itertools.pairwise(ve.pca_map(features, layer=layer).components for layer in range(6))
        for correlation in correlations(*pair)
    ]
    going_on = [correlation for correlation in neighbours if abs(correlation) > 0.5]
    assert len(going_on) > len(neighbours) / 2
    assert min(going_on) > 0


def test_signs_fit_all_layers_and_their_places_at_once() -> None:
    """Held against all choices, for three layers: 2 × 2 × 2 of each component."""
    generator = np.random.default_rng(3)
    maps = pca._standard(generator.standard_normal((9, 40))).reshape(3, 3, 40)
    weights = pca._standard(generator.standard_normal((1, 40)))[0]

    def agreement(signs: tuple[int, ...], component: int) -> float:
        turned = [sign * each[component] for sign, each in zip(signs, maps, strict=True)]
        place = pca.POSITION * sum(float(each @ weights) for each in turned)
        return place + sum(float(first @ second) for first, second in itertools.pairwise(turned))

    found = pca._agreeing_signs(list(maps), weights)
    for component in range(3):
        choices = list(itertools.product((-1, 1), repeat=3))
        best = max(choices, key=lambda signs, component=component: agreement(signs, component))
        assert tuple(found[:, component]) == best


def test_what_is_in_the_middle_has_high_values() -> None:
    patches = noise(0, (9, 9), 8)
    patches.reshape(9, 9, 8)[3:7, 3:7] -= 20
    first = ve.pca_map(features_of({0: patches}, shape=(9, 9))).components[0]
    assert first[3:7, 3:7].min() > first[:3].max()


def test_a_layer_that_cannot_be_fitted_leaves_the_others_alone() -> None:
    features = features_of({0: np.ones((42, 8)), 1: noise(0, SHAPE, 8)}, shape=SHAPE)
    same_up_to_sign(ve.pca_map(features, layer=1).components, by_svd(features.patches(1))[0])
    with pytest.raises(SpecError, match="all patches carry the same token"):
        ve.pca_map(features, layer=0)


def test_signs_are_kept_from_size_to_size(scenes: dict[int, Features]) -> None:
    """Every second patch of twice the grid lies where a patch of the smaller picture does."""
    small, large = (ve.pca_map(scenes[size]).components for size in (160, 320))
    assert min(correlations(small, (large[:, ::2, ::2] + large[:, 1::2, 1::2]) / 2)) > 0.5


def test_a_layers_signs_do_not_depend_on_which_was_looked_at_first(scenes: dict[int, Features]) -> None:
    kept = scenes[160]
    again = [dataclasses.replace(kept, computed={}) for _ in range(2)]
    upwards = [ve.pca_map(again[0], layer=layer) for layer in range(6)]
    downwards = [ve.pca_map(again[1], layer=layer) for layer in reversed(range(6))][::-1]
    for one, other in zip(upwards, downwards, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)


@pytest.mark.parametrize(
    ("patches", "shape", "options", "message"),
    [
        (noise(0, (1, 3), 8), (1, 3), {}, "at least 4 patches to be fitted to; got 3"),
        (noise(0, SHAPE, 2), SHAPE, {}, "tokens of at least 3 numbers; these have 2"),
        (np.full((42, 8), 0.3), SHAPE, {}, "all patches carry the same token"),
        (np.zeros((42, 8)), SHAPE, {}, "all patches carry the same token"),
        (
            np.vstack([noise(0, (4, 1), 8), noise(1, (2, 1), 8) + 99]),
            (2, 3),
            {"foreground": "high"},
            "4 patches .* got 2",
        ),
        (noise(0, SHAPE, 8), SHAPE, {"foreground": "front"}, "foreground must be None or one of 'high', 'low'"),
        (noise(0, SHAPE, 8), SHAPE, {"head": 1}, r"head must be in 0\.\.0"),
        (noise(0, SHAPE, 8), SHAPE, {"layer": 4}, "layer"),
    ],
)
def test_what_cannot_be_fitted_says_why(
    patches: np.ndarray, shape: tuple[int, int], options: dict[str, object], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        ve.pca_map(features_of({0: patches}, shape=shape), **options)  # type: ignore[call-overload]


def test_only_one_model_and_facet_is_fitted_together() -> None:
    first = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE)
    for other in (
        features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, name="other"),
        features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, facet="value"),
    ):
        with pytest.raises(SpecError, match="of one model and one facet"):
            ve.pca_map([first, other])
    with pytest.raises(SpecError, match="at least one picture"):
        ve.pca_map([])


def test_signs_of_a_large_grid_are_found_by_some_of_its_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each third row and column; what is fitted is all the same."""
    shape = (18, 21)
    y, x = np.mgrid[:18, :21]
    smooth = np.stack([np.cos((y - 9) / 6), np.cos((x - 10) / 5), np.sin(y / 4)], axis=-1).reshape(-1, 3) * [9, 5, 3]
    patches = {layer: np.hstack([smooth, noise(layer, shape, 5) / 9]) * (-1) ** layer for layer in (0, 1)}
    whole, sampled = features_of(patches, shape=shape), features_of(patches, shape=shape)
    expected = ve.pca_map(whole, layer=0)
    monkeypatch.setattr(pca, "SAMPLE", 42)
    read: list[int] = []
    fit = pca.fit
    monkeypatch.setattr(pca, "fit", lambda values: read.append(len(values)) or fit(values))
    np.testing.assert_array_equal(ve.pca_map(sampled, layer=0).rgb, expected.rgb)
    assert sorted(read) == [42, 42, 18 * 21]
