"""Layers on one set of axes are NumPy's of the stacked layers, each brought to one spread first."""

import dataclasses

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.tokens.builders import features_of, noise
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.trace import Features

SHAPE = (6, 7)


@pytest.fixture
def features() -> Features:
    """Three layers of other spreads, around other means."""
    layers = {layer: noise(layer, SHAPE, 9) * 10.0**layer + 3 * layer for layer in range(3)}
    return features_of(layers, shape=SHAPE)


def standard(patches: np.ndarray) -> np.ndarray:
    centred = patches - patches.mean(axis=0)
    return centred / np.sqrt((centred**2).sum(axis=1).mean())


@pytest.mark.parametrize("layers", [(0, 2), (2, 1, 0)])
def test_axes_are_those_of_all_layers_stacked(features: Features, layers: tuple[int, ...]) -> None:
    stacked = np.concatenate([standard(features.patches(layer)) for layer in layers])
    _, lengths, axes = np.linalg.svd(stacked, full_matrices=False)
    found = layers_pca(features, layers)
    assert list(found) == list(layers)
    for layer, pca in found.items():
        for component, axis in zip(pca.components.reshape(3, -1), axes[:3], strict=True):
            expected = standard(features.patches(layer)) @ axis
            np.testing.assert_allclose(component * np.sign(component @ expected), expected, atol=1e-5)
        np.testing.assert_allclose(pca.explained, (pca.components**2).mean(axis=(1, 2)), rtol=1e-4)
        shares = (lengths**2 / (lengths**2).sum())[:4]
        steps = -np.diff(shares)
        np.testing.assert_allclose(pca.gaps, [steps[0], min(steps[:2]), min(steps[1:])], atol=1e-6)
        assert pca.label == f"PCA of keys of layer {layer}"


def test_colours_are_stretched_over_all_layers_alike(features: Features) -> None:
    found = layers_pca(features, (0, 1, 2))
    for channel in range(3):
        all_layers = np.stack([pca.components[channel] for pca in found.values()])
        low, high = np.percentile(all_layers, (2, 98))
        expected = ((all_layers - low) / (high - low)).clip(0, 1)
        np.testing.assert_allclose(np.stack([pca.rgb[..., channel] for pca in found.values()]), expected, atol=1e-5)


def test_a_faint_layer_is_not_drowned_by_a_strong_one(features: Features) -> None:
    """Layer 2 varies a hundred times as much as layer 0, and takes as much of the colours."""
    found = layers_pca(features, (0, 2))
    spreads = [float(pca.rgb.std(axis=(0, 1)).mean()) for pca in found.values()]
    assert 0.5 < spreads[0] / spreads[1] < 2


def test_of_one_layer_it_is_pca_map(features: Features) -> None:
    found, expected = layers_pca(features, (-1, 2))[2], ve.pca_map(features, layer=2)
    np.testing.assert_array_equal(found.components, expected.components)
    np.testing.assert_array_equal(found.rgb, expected.rgb)
    assert found.explained == expected.explained


def test_signs_do_not_depend_on_the_order_of_layers(features: Features) -> None:
    found, turned = (
        layers_pca(dataclasses.replace(features, computed={}), layers) for layers in ((0, 1, 2), (2, 0, 1))
    )
    assert list(turned) == [2, 0, 1]
    for layer, pca in found.items():
        np.testing.assert_array_equal(pca.components, turned[layer].components)


def test_signs_fit_those_of_the_layers_by_themselves() -> None:
    close = features_of({0: noise(0, SHAPE, 9), 1: noise(0, SHAPE, 9) + 0.3 * noise(1, SHAPE, 9)}, shape=SHAPE)
    for layer, pca in layers_pca(close, (0, 1)).items():
        own = ve.pca_map(close, layer=layer).components
        assert (np.einsum("kij,kij->k", own, pca.components) > 0).all()


def test_what_cannot_be_fitted_is_refused(features: Features) -> None:
    with pytest.raises(ve.SpecError, match="layer 2 was not kept"):
        layers_pca(dataclasses.replace(features, layers={0: features.layers[0]}), (0, 2))
    with pytest.raises(ve.SpecError, match="needs at least one layer"):
        layers_pca(features, ())
    constant = {0: noise(0, SHAPE, 9), 1: np.ones((42, 9))}
    with pytest.raises(ve.SpecError, match="all patches carry the same token"):
        layers_pca(features_of(constant, shape=SHAPE), (0, 1))
    with pytest.raises(ve.SpecError, match="at least 4 patches to be fitted to; got 3"):
        layers_pca(features_of({0: noise(0, (1, 3), 9), 1: noise(1, (1, 3), 9)}, shape=(1, 3)), (0, 1))
