"""A trace answers every question exactly as the whole matrices would, without keeping one."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from vit_engine.errors import ResourceError, SpecError
from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel, load_model

PREFIX, ROWS, COLS = 3, 5, 7
HEADS, LAYERS = 3, 2


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


def block_inputs(loaded: LoadedModel, prepared: PreparedImage) -> Iterator[tuple[nn.Module, Tensor]]:
    """Each block with the tokens (1, N, D) that come into it."""
    x = loaded.model.embed(prepared.tensor[None])
    for block in loaded.model.blocks:
        yield block, x
        x = block(x)


def test_weights_are_those_that_mix_the_values(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace
) -> None:
    for layer, (block, x) in enumerate(block_inputs(small, prepared)):
        values = block.attn.queries_keys_values(block.norm1(x))[2][0]
        mixed = rearrange(torch.from_numpy(trace.weights(layer)) @ values, "h n d -> 1 n (h d)")
        torch.testing.assert_close(block.attn.proj(mixed), block.attn(block.norm1(x)), rtol=1e-5, atol=1e-5)


def test_the_small_model_attends_unevenly_so_that_the_tests_here_can_fail(trace: AttentionTrace) -> None:
    assert all(trace.weights(layer).max() > 0.5 for layer in range(LAYERS))


def test_weights_are_float32_matrices_whose_rows_sum_to_one(trace: AttentionTrace) -> None:
    weights = trace.weights(0)
    assert weights.shape == (HEADS, PREFIX + ROWS * COLS, PREFIX + ROWS * COLS)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, -1, -2])
@pytest.mark.parametrize(("query", "token"), [("cls", 0), ((0, 0), 3), ((0, 6), 9), ((4, 2), 33), ((4, 6), 37)])
def test_rows_and_maps_are_rows_of_the_weights(
    trace: AttentionTrace, layer: int, query: str | tuple[int, int], token: int
) -> None:
    rows = trace.weights(layer)[:, token]
    patches = rows[:, PREFIX:].reshape(HEADS, ROWS, COLS)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(trace.rows(layer, query), rows, **close)
    np.testing.assert_allclose(trace.head_maps(layer, query), patches, **close)
    np.testing.assert_allclose(trace.attention_map(layer, 2, query).values, patches[2], **close)
    for reduction in ("mean", "max", "min"):
        expected = getattr(patches, reduction)(axis=0)
        np.testing.assert_allclose(trace.attention_map(layer, reduction, query).values, expected, **close)


def test_a_map_says_what_it_shows(trace: AttentionTrace) -> None:
    shown = trace.attention_map()
    assert (shown.label, shown.unit) == ("layer 1 · head mean · query CLS", "attention weight")
    assert trace.attention_map(0, np.int64(2), (4, 6)).label == "layer 0 · head 2 · query patch row 4, col 6"
    assert shown.grid == trace.grid
    assert shown.values.shape == (ROWS, COLS)


def entropy(weights: np.ndarray) -> np.ndarray:
    return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)


def statistics_of(weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each (heads,), by the definitions, from the matrices (heads, tokens, tokens) in float64."""
    patches = weights[:, :, PREFIX:] / weights[:, :, PREFIX:].sum(axis=-1, keepdims=True)
    cls = patches[:, 0]
    at = 4 * np.argwhere(np.ones((ROWS, COLS)))  # patches of 4 px
    distances = np.linalg.norm(at[:, None] - at[None], axis=-1)
    distance = (patches[:, PREFIX:] * distances).sum(axis=-1).mean(axis=-1)
    return {
        "cls_entropy_nats": entropy(weights[:, 0]),
        "mean_entropy_nats": entropy(weights).mean(axis=-1),
        "cls_patch_entropy_nats": entropy(cls),
        "mean_patch_entropy_nats": entropy(patches).mean(axis=-1),
        "cls_effective_tokens": np.exp(entropy(weights[:, 0])),
        "mean_effective_tokens": np.exp(entropy(weights)).mean(axis=-1),
        "cls_patch_effective_tokens": np.exp(entropy(cls)),
        "mean_patch_effective_tokens": np.exp(entropy(patches)).mean(axis=-1),
        "cls_to_cls": weights[:, 0, 0],
        "cls_prefix_mass": weights[:, 0, :PREFIX].sum(axis=-1),
        "mean_prefix_mass": weights[:, :, :PREFIX].sum(axis=-1).mean(axis=-1),
        "cls_maximum": weights[:, 0].max(axis=-1),
        "mean_maximum": weights.max(axis=-1).mean(axis=-1),
        "cls_gini": np.abs(cls[:, :, None] - cls[:, None]).mean(axis=(1, 2)) / (2 * cls.mean(axis=-1)),
        "cls_top10_mass": np.sort(cls, axis=-1)[:, -4:].sum(axis=-1),  # a tenth of 35 patches, rounded up
        "same_argmax_share": [np.bincount(keys).max() / len(keys) for keys in weights.argmax(axis=-1)],
        "distance_px": distance,
        "distance_fraction": distance / np.hypot(20, 28),
    }


def test_it_counts_how_many_queries_have_their_largest_weight_on_each_token(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace
) -> None:
    for number, layer in trace.layers.items():
        largest = trace.weights(number).argmax(axis=-1)
        assert layer.argmax_counts.dtype == torch.int32
        expected = [np.bincount(keys, minlength=PREFIX + ROWS * COLS) for keys in largest]
        np.testing.assert_array_equal(layer.argmax_counts, expected)
    for statistics in ("entropy", "none"):
        bare = attend(small, prepared, statistics=statistics)
        assert all(layer.argmax_counts is None for layer in bare.layers.values())
        assert trace.nbytes - bare.nbytes == 4 * LAYERS * HEADS * (PREFIX + ROWS * COLS)


def test_streamed_statistics_are_those_of_the_whole_matrices(trace: AttentionTrace) -> None:
    frame = trace.statistics.to_frame()
    for layer in range(LAYERS):
        rows = frame[frame["layer"] == layer]
        assert rows["head"].tolist() == [0, 1, 2]
        for name, values in statistics_of(trace.weights(layer).astype(np.float64)).items():
            tolerance = 1e-4 if name.startswith("distance") else 1e-5
            np.testing.assert_allclose(rows[name], values, rtol=tolerance, atol=1e-5, err_msg=name)


def test_a_trace_says_where_it_comes_from(small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace) -> None:
    assert trace.spec is small.spec
    assert trace.grid == prepared.grid
    assert trace.image_sha256 == prepared.sha256
    assert trace.random is True
    assert trace.seconds > 0


def test_predictions_are_the_models_own_the_likeliest_first(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace
) -> None:
    probabilities = small.model(prepared.tensor[None])[0].softmax(dim=-1).tolist()
    named = dict(zip(small.spec.class_names, probabilities, strict=True))
    assert {p.label: p.probability for p in trace.predictions} == pytest.approx(named, abs=1e-5)
    ranked = [prediction.probability for prediction in trace.predictions]
    assert ranked == sorted(ranked, reverse=True)


def test_a_model_without_a_classifier_predicts_nothing(small_spec: ModelSpec, prepared: PreparedImage) -> None:
    bare = load_model(dataclasses.replace(small_spec, class_names=()), weights="random", device="cpu")
    assert attend(bare, prepared).predictions == ()


@pytest.mark.parametrize(
    ("layers", "traced"), [("all", [0, 1]), (0, [0]), (-1, [1]), ([1, 0], [0, 1]), ([-2, 0], [0]), (range(2), [0, 1])]
)
def test_only_the_layers_asked_for_are_kept(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace, layers: Any, traced: list[int]
) -> None:
    part = attend(small, prepared, layers=layers)
    assert sorted(part.layers) == traced
    whole = trace.statistics.to_frame()
    expected = whole[whole["layer"].isin(traced)].to_numpy()
    np.testing.assert_allclose(part.statistics.to_frame().to_numpy(), expected, rtol=1e-4, atol=1e-6)
    for layer in traced:
        np.testing.assert_allclose(part.rows(layer), trace.rows(layer), rtol=1e-4, atol=1e-6)


def test_a_layer_that_was_not_kept_is_refused_by_name(small: LoadedModel, prepared: PreparedImage) -> None:
    with pytest.raises(SpecError, match=r"layer 1 was not traced; this trace has \[0\]"):
        attend(small, prepared, layers=0).rows(-1)


def test_entropy_statistics_leave_out_only_the_distances_and_the_argmax(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace
) -> None:
    part, whole = attend(small, prepared, statistics="entropy").statistics.to_frame(), trace.statistics.to_frame()
    assert set(whole) - set(part) == {"distance_px", "distance_fraction", "same_argmax_share"}
    np.testing.assert_allclose(part, whole[part.columns], rtol=1e-4, atol=1e-6)


def test_a_trace_without_statistics_still_has_its_rows(
    small: LoadedModel, prepared: PreparedImage, trace: AttentionTrace
) -> None:
    bare = attend(small, prepared, statistics="none")
    np.testing.assert_allclose(bare.rows(0), trace.rows(0), rtol=1e-5, atol=1e-6)
    with pytest.raises(SpecError, match="statistics='none'; use 'all' or 'entropy'"):
        _ = bare.statistics


def test_whole_matrices_over_the_budget_are_refused(trace: AttentionTrace) -> None:
    needed = 4 * HEADS * 38 * 38
    assert trace.weights(0, budget=needed).nbytes == needed
    with pytest.raises(ResourceError, match=r"need 17,328 bytes, over the budget of 17,327; use rows\(\)"):
        trace.weights(0, budget=needed - 1)
