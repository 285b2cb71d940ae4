"""Lengths of tokens, and which stand out: in a model that has such tokens, and in one that has none."""

import dataclasses

import numpy as np
import pytest
import torch

import vit_engine as ve
from tests.vit_engine.analysis.tokens.builders import features_of, noise
from vit_engine.errors import SpecError
from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.weights import load_model

SHAPE = (4, 5)


def test_norms_are_of_tokens_before_the_final_norm() -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, facet="token", prefix=np.full((1, 8), 2.0))
    norms = ve.token_norms(features)
    lengths = np.linalg.norm(features.layers[0].astype(np.float64), axis=1)
    np.testing.assert_allclose(norms.values.ravel(), lengths[1:], rtol=1e-6)
    np.testing.assert_allclose(norms.prefix, [8**0.5 * 2], rtol=1e-6)
    assert norms.median == pytest.approx(np.median(lengths[1:]))
    assert (norms.limit, norms.factor, norms.layer) == (3 * norms.median, 3, 0)
    assert norms.label == "norm of tokens of layer 0"


def test_of_one_head_they_are_of_its_numbers() -> None:
    features = features_of({0: noise(0, SHAPE, 8)}, shape=SHAPE, heads=2)
    expected = np.linalg.norm(features.patches(0)[:, 4:], axis=1)
    np.testing.assert_allclose(ve.token_norms(features, head=1).values.ravel(), expected, rtol=1e-6)


def test_outliers_are_longer_than_the_rule_says_and_the_longest_comes_first() -> None:
    patches = np.ones((20, 4))
    patches[[3, 11, 17]] *= [[2.9], [5], [3.1]]
    features = features_of({0: patches}, shape=SHAPE)
    assert ve.token_norms(features).outliers == ((2, 1), (3, 2))
    assert ve.token_norms(features, factor=4).outliers == ((2, 1),)
    assert ve.token_norms(features, factor=2).outliers == ((2, 1), (3, 2), (0, 3))
    with pytest.raises(SpecError, match="factor must be above 1; got 1"):
        ve.token_norms(features, factor=1)


def test_a_model_that_makes_one_patch_long_shows_it(small_spec: ModelSpec, prepared: PreparedImage) -> None:
    """Its first layer is plain; its second has one neuron that answers to a single patch, and writes a long token."""
    loaded = load_model(dataclasses.replace(small_spec, depth=3), weights="random", device="cpu", seed=2)
    patch, place = (3, 4), prepared.grid.token((3, 4))
    block = loaded.model.blocks[1]
    seen: list[torch.Tensor] = []
    hook = block.mlp.register_forward_pre_hook(lambda module, given: seen.append(given[0][0]))
    ve.features(loaded, prepared)
    hook.remove()
    direction = seen[0][place] - seen[0].mean(dim=0)
    answers = seen[0] @ direction
    rest = torch.cat([answers[:place], answers[place + 1 :]]).max()
    assert rest < answers[place]
    block.mlp.fc1.weight[0] = direction * 100
    block.mlp.fc1.bias[0] = -100 * (answers[place] + rest) / 2
    block.mlp.fc2.weight[:, 0] = torch.linspace(-3, 3, 12)
    features = ve.features(loaded, prepared)
    assert ve.token_norms(features, layer=0).outliers == ()
    assert ve.token_norms(features, layer=1).outliers == (patch,)
    assert ve.token_norms(features, layer=2).outliers == (patch,)
