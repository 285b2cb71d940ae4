"""Finite weights whose activations overflow are an error that names the layer, and never maps of NaN."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from vit_engine.errors import NumericalError
from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.trace import attend
from vit_engine.trace.checks import Overflow
from vit_engine.weights import LoadedModel, load_model


def scaled(spec: ModelSpec, name: str, factor: float, **changes: object) -> LoadedModel:
    """A model of four layers and two classes with one parameter so many times as large."""
    spec = dataclasses.replace(spec, depth=4, class_names=("cat", "dog"), **changes)  # type: ignore[arg-type]
    loaded = load_model(spec, weights="random", device="cpu")
    with torch.no_grad():
        loaded.model.get_parameter(name).fill_(factor)
    assert all(parameter.isfinite().all() for parameter in loaded.model.parameters())
    return loaded


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("patch_embed.proj.bias", "the embedding of patches"),
        ("cls_token", "the embedding of patches"),
        ("blocks.0.attn.qkv.bias", "layer 0"),
        ("blocks.0.norm1.weight", "layer 0"),
        ("blocks.1.attn.qkv.bias", "layer 1"),
        ("blocks.1.attn.proj.bias", "layer 1"),
        ("blocks.2.mlp.fc2.bias", "layer 2"),
        ("blocks.3.mlp.fc1.bias", "layer 3"),
        ("norm.bias", "the classifier"),
        ("head.bias", "the classifier"),
    ],
)
@pytest.mark.parametrize(
    "asked", [{}, {"layers": 0}, {"layers": (0, 1, 3)}, {"statistics": "none"}, {"layers": -1, "statistics": "none"}]
)
def test_the_first_layer_that_overflows_is_named(
    small_spec: ModelSpec, prepared: PreparedImage, name: str, where: str, asked: dict[str, Any]
) -> None:
    loaded = scaled(small_spec, name, 3e38)
    with pytest.raises(
        NumericalError,
        match=rf"activations of 'small' overflow in {where}: from there on they are too large for float32",
    ) as refusal:
        attend(loaded, prepared, **asked)
    assert str(refusal.value).endswith("of a training run that has diverged: load another checkpoint.")


def test_tokens_that_are_finite_and_too_large_for_layer_norm_are_named(
    small_spec: ModelSpec, prepared: PreparedImage
) -> None:
    """(1e20)² is over float32's 3.4e38: LayerNorm would divide by infinity, and every map would be uniform."""
    with pytest.raises(NumericalError, match="overflow in layer 1:"):
        attend(scaled(small_spec, "blocks.1.mlp.fc2.bias", 1e20), prepared)


def test_layers_after_the_last_that_is_asked_for_do_not_matter(small_spec: ModelSpec, prepared: PreparedImage) -> None:
    loaded = scaled(small_spec, "blocks.2.mlp.fc2.bias", 3e38)
    spec = dataclasses.replace(loaded.spec, class_names=())
    trace = attend(LoadedModel(spec, loaded.model, loaded.report), prepared, layers=(0, 2))
    assert all(math.isfinite(value) for value in trace.rows(2).ravel())
    with pytest.raises(NumericalError, match="overflow in layer 2:"):
        attend(LoadedModel(spec, loaded.model, loaded.report), prepared, layers=3)


def test_in_half_precision_float32_is_what_to_try(small_spec: ModelSpec, prepared: PreparedImage) -> None:
    loaded = scaled(small_spec, "blocks.1.mlp.fc2.bias", 60_000)
    trace = attend(loaded, prepared)
    assert trace.statistics.mean_entropy.shape[0] == 4
    half = LoadedModel(loaded.spec, loaded.model.half(), loaded.report)
    with torch.no_grad():
        half.model.get_parameter("blocks.2.mlp.fc2.bias").fill_(60_000)
    with pytest.raises(
        NumericalError,
        match=r"overflow in layer 2: .* for float16, .*Run the model in float32: loaded\.model\.float\(\)",
    ):
        attend(half, prepared)


def test_large_activations_of_real_models_are_no_overflow(small_spec: ModelSpec) -> None:
    """Massive activations: tens of thousands in a few tokens, over many tokens in half precision."""
    loaded = load_model(small_spec, weights="random", device="cpu")
    loaded.model.half()
    overflow = Overflow(loaded)
    tokens = torch.zeros(1, 3601, 1024, dtype=torch.float16)
    tokens[:] = 100
    tokens[0, 0, :8] = 60_000
    overflow.add(0, tokens)
    overflow.require_none(None, loaded)
