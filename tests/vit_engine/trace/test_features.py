"""features(): what tokens carry is what the model computes, and no more of it is run or kept than was asked for."""

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vit_engine as ve
from vit_engine.errors import NumericalError, ResourceError, SpecError
from vit_engine.image import PreparedImage, prepare_image
from vit_engine.model import Block
from vit_engine.planning.plan import FACETS
from vit_engine.resources.budget import BUDGET_VARIABLE
from vit_engine.spec import ModelSpec
from vit_engine.trace import Features, features
from vit_engine.weights import LoadedModel, load_model

WITHIN = {"float16": 2e-3, "float32": 1e-6}  # of the largest number


def close(values: np.ndarray, expected: Tensor, precision: str = "float32") -> None:
    reference = expected.double().numpy()
    np.testing.assert_allclose(values, reference, rtol=0, atol=WITHIN[precision] * np.abs(reference).max())


@pytest.mark.parametrize("precision", WITHIN)
def test_tokens_are_those_of_the_intermediate_layers(
    small: LoadedModel, prepared: PreparedImage, precision: str
) -> None:
    kept = features(small, prepared, precision=precision)
    expected = small.model.get_intermediate_layers(prepared.tensor[None], n=2)
    assert list(kept.layers) == [0, 1]
    assert {str(values.dtype) for values in kept.layers.values()} == {precision}
    for layer, tokens in enumerate(expected):
        close(kept.tokens(layer), tokens[0], precision)
        np.testing.assert_array_equal(kept.patches(layer), kept.tokens(layer)[small.spec.prefix :])
    residual = kept.tokens(final_norm=False)
    close(small.model.norm(torch.from_numpy(residual).float()).double().numpy(), expected[-1][0], precision)


def projections(loaded: LoadedModel, prepared: PreparedImage, layer: int) -> dict[str, Tensor]:
    """Of a layer, as its own linear layer gives them: (tokens, dim) each."""
    for depth, tokens in enumerate(loaded.model.token_stream(prepared.tensor[None])):
        if depth == layer:
            block = loaded.model.blocks[layer]
            return dict(
                zip(("query", "key", "value"), block.attn.qkv(block.norm1(tokens))[0].chunk(3, -1), strict=True)
            )
    raise AssertionError(layer)


@pytest.mark.parametrize("facet", ["query", "key", "value"])
@pytest.mark.parametrize("options", [{}, {"qkv_bias": False}, {"positions": "rope", "dim": 24}], ids=str)
def test_queries_keys_and_values_are_what_tokens_are_projected_to(
    small_spec: ModelSpec, prepared: PreparedImage, facet: str, options: dict[str, Any]
) -> None:
    loaded = load_model(dataclasses.replace(small_spec, **options), weights="random", device="cpu")
    kept = features(loaded, prepared, facet=facet, precision="float32")
    width = loaded.spec.dim // 3
    for layer in (0, 1):
        expected = projections(loaded, prepared, layer)[facet]
        close(kept.tokens(layer), expected)
        close(kept.tokens(layer, head=2), expected[:, 2 * width :])
        close(kept.patches(layer, head=0), expected[3:, :width])


def test_keys_are_those_that_attention_meets(small: LoadedModel, prepared: PreparedImage) -> None:
    kept, trace = features(small, prepared, facet="key", precision="float32"), ve.attend(small, prepared)
    for layer in (0, 1):
        for head in range(3):
            close(kept.tokens(layer, head=head), trace.layer(layer).keys[head])


@pytest.mark.parametrize(("facet", "whole"), [("token", 2), ("key", 1)])
def test_the_run_ends_where_the_last_layer_is_read(
    small_spec: ModelSpec, prepared: PreparedImage, monkeypatch: pytest.MonkeyPatch, facet: str, whole: int
) -> None:
    loaded = load_model(dataclasses.replace(small_spec, depth=5), weights="random", device="cpu")
    ran, forward = [], Block.forward
    monkeypatch.setattr(Block, "forward", lambda self, *rest: ran.append(self) or forward(self, *rest))
    messages: list[tuple[float, str]] = []
    kept = features(loaded, prepared, layers=(-4,), facet=facet, progress=lambda *told: messages.append(told))
    assert list(kept.layers) == [1]
    assert len(ran) == whole
    assert messages == [(0.5, "layer 1 of 5"), (1.0, "layer 2 of 5")]


def test_what_is_kept_is_what_the_estimate_counts(small: LoadedModel, prepared: PreparedImage) -> None:
    for facet in FACETS:
        for precision in WITHIN:
            asked: dict[str, Any] = {"layers": (1,), "facet": facet, "precision": precision}
            kept = features(small, prepared, **asked)
            counted = ve.estimate(small, prepared.grid, device="cpu", **asked)
            assert kept.nbytes == counted.kept_bytes == prepared.grid.tokens * 12 * int(precision[-2:]) // 8
            assert counted.kept_bytes < counted.peak_bytes


def test_a_run_over_the_budget_is_refused(
    small: LoadedModel, prepared: PreparedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ve.estimate(small, prepared.grid, device="cpu", facet="key").peak_bytes
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed))
    features(small, prepared, facet="key")
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed - 1))
    with pytest.raises(ResourceError, match="memory budget"):
        features(small, prepared, facet="key")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"facet": "attention"}, "facet must be one of 'token', 'query', 'key', 'value'; got 'attention'"),
        ({"facet": ""}, "facet must be one of 'token', 'query', 'key', 'value'; got ''"),
        ({"precision": "float64"}, "precision must be one of 'float16', 'float32'; got 'float64'"),
        ({"layers": 2}, r"0\.\.1"),
    ],
)
def test_what_does_not_exist_is_refused(
    small: LoadedModel, prepared: PreparedImage, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        features(small, prepared, **asked)


def test_layers_and_heads_that_are_not_there_are_named(small: LoadedModel, prepared: PreparedImage) -> None:
    tokens, keys = features(small, prepared, layers=0), features(small, prepared, facet="key")
    with pytest.raises(
        SpecError, match=r"layer 1 was not kept; these features have \[0\]. Name it in layers= of features"
    ):
        tokens.tokens(1)
    with pytest.raises(SpecError, match="tokens belong to no head"):
        tokens.tokens(0, head=0)
    for head in (3, -1, True, "mean"):
        with pytest.raises(SpecError, match=r"head must be in 0\.\.2, or None for all"):
            keys.tokens(0, head=head)  # type: ignore[arg-type]


def test_an_image_for_another_model_is_refused(small: LoadedModel, small_spec: ModelSpec) -> None:
    other = prepare_image(np.zeros((24, 24, 3), np.uint8), dataclasses.replace(small_spec, patch_size=2), size=24)
    with pytest.raises(SpecError, match="prepared for patches of 2 px"):
        features(small, other)


@pytest.mark.parametrize(
    ("factor", "error"),
    [(7e4, "too large for float16, which ends at 65,504; keep them with precision float32"), (3e38, "overflow")],
)
def test_numbers_that_are_too_large_are_an_error(
    small_spec: ModelSpec, prepared: PreparedImage, factor: float, error: str
) -> None:
    loaded = load_model(small_spec, weights="random", device="cpu")
    loaded.model.get_parameter("blocks.0.mlp.fc2.bias").fill_(factor)
    with pytest.raises(NumericalError, match=error):
        features(loaded, prepared)
    if factor < 1e38:
        assert features(loaded, prepared, precision="float32").tokens(0, final_norm=False).max() > 65504


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(small: LoadedModel, prepared: PreparedImage, value: float) -> None:
    kept = features(small, prepared)
    changed = kept.layers[1].copy()
    changed[3, 2] = value
    with pytest.raises(SpecError, match="tokens of layer 1 must be finite numbers"):
        dataclasses.replace(kept, layers={0: kept.layers[0], 1: changed})


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda kept: pickle.loads(pickle.dumps(kept))])  # noqa: S301
def test_features_are_copied_pickled_and_never_changed(
    small: LoadedModel, prepared: PreparedImage, copied: Any
) -> None:
    kept: Features = features(small, prepared)
    assert "5×7 patches, layers [0, 1]" in repr(kept)
    for each in (kept, copied(kept)):
        np.testing.assert_array_equal(each.layers[1], kept.layers[1])
        with pytest.raises(ValueError, match="read-only"):
            each.layers[1][0] = 0
        with pytest.raises(TypeError):
            each.layers[2] = kept.layers[1]


def test_a_name_and_a_picture_are_enough() -> None:
    kept = ve.features("demo_vit_p16", np.full((64, 48, 3), 99, np.uint8), size=48, layers=(0, -1), facet="value")
    assert (kept.facet, kept.grid.shape, kept.random, list(kept.layers)) == ("value", (4, 3), False, [0, 5])
