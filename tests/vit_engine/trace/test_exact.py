"""What a trace and its table say of the CLS query holds for scores of any size."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel, load_model

PREFIX = 3


@pytest.fixture(scope="module", params=[1.0, 30.0, 100.0, 1000.0])
def sharp(request: pytest.FixtureRequest, small_spec: ModelSpec) -> LoadedModel:
    """Queries and keys so large that scores reach from some ten to some ten thousand."""
    loaded = load_model(dataclasses.replace(small_spec, class_names=()), weights="random", device="cpu", seed=0)
    for block in loaded.model.blocks:
        queries_and_keys = block.attn.qkv.weight[: 2 * small_spec.dim]
        queries_and_keys.mul_(request.param**0.5 / queries_and_keys.std())
    return loaded


@pytest.fixture(scope="module")
def trace(sharp: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(sharp, prepared)


def scores(trace: AttentionTrace, layer: int) -> Tensor:
    kept = trace.layers[layer]
    return kept.scale * kept.queries.double() @ kept.keys.double().mT


def test_scores_are_as_large_as_these_tests_mean(trace: AttentionTrace) -> None:
    assert max(scores(trace, layer).abs().max() for layer in (0, 1)) > 60


@pytest.mark.parametrize("layer", [0, 1])
def test_rows_are_within_1e_5_of_float64(trace: AttentionTrace, layer: int) -> None:
    expected = scores(trace, layer).softmax(dim=-1).numpy()
    np.testing.assert_allclose(trace.weights(layer), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(trace.rows(layer, "cls"), expected[:, 0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(trace.rows(layer, (4, 1)), expected[:, PREFIX + 29], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_cls_querys_numbers_are_within_1e_5_of_float64(trace: AttentionTrace, layer: int) -> None:
    row = scores(trace, layer)[:, 0]
    weights, patches = row.softmax(dim=-1), row[:, PREFIX:].softmax(dim=-1)
    expected = {
        "cls_entropy": torch.special.entr(weights).sum(dim=-1),
        "cls_patch_entropy": torch.special.entr(patches).sum(dim=-1),
        "cls_prefix_mass": weights[:, :PREFIX].sum(dim=-1),
        "cls_maximum": weights.amax(dim=-1),
        "cls_to_cls": weights[:, 0],
    }
    for name, values in expected.items():
        got = getattr(trace.statistics, name)[layer]
        np.testing.assert_allclose(got, values, rtol=1e-6, atol=1e-6, err_msg=name)
        assert (got >= 0).all(), name


@pytest.mark.parametrize("layer", [0, 1])
def test_means_over_the_queries_are_within_1e_5_of_float64(trace: AttentionTrace, layer: int) -> None:
    weights = scores(trace, layer).softmax(dim=-1)
    entropies = torch.special.entr(weights).sum(dim=-1)
    expected = {
        "mean_entropy": entropies.mean(dim=-1),
        "mean_effective_tokens": entropies.exp().mean(dim=-1),
        "mean_prefix_mass": weights[..., :PREFIX].sum(dim=-1).mean(dim=-1),
        "mean_maximum": weights.amax(dim=-1).mean(dim=-1),
        "same_argmax_share": [keys.bincount().max() / len(keys) for keys in scores(trace, layer).argmax(dim=-1)],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(trace.statistics, name)[layer], values, rtol=1e-5, atol=1e-5, err_msg=name)
