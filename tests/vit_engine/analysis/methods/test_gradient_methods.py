"""Each gradient method is what the plain N×N matrices give, in float64, for every architecture."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.vit_engine.explicit import ARCHITECTURES, Explicit, architecture, by_patch, close, explicit, in_dtype, noise
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.run import Run
from vit_engine.model.streaming import explicit_weights
from vit_engine.spec import Query
from vit_engine.trace import attend

QUERIES: tuple[Query, ...] = ("cls", (3, 5), (1, 2, 3, 2))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def made(request: pytest.FixtureRequest) -> tuple[Run, Explicit]:
    """A run whose gradients are made once, and the plain matrices of class 2."""
    loaded = architecture(request.param)
    prepared = noise(loaded.spec)
    run = Run(attend(loaded, prepared), loaded, prepared)
    return run, explicit(loaded, prepared, lambda model, tokens: model.classify(tokens)[:, 2])


def ask(run: Run, name: str, **choices: Any) -> np.ndarray:
    choices = {"target": 2, **choices}
    return find_method(name).attribute(run, **choices).heads


def at(plain: Explicit, query: Query, rows: torch.Tensor) -> np.ndarray:
    """The mean over the query's tokens of (…, tokens, tokens): (…, rows, cols)."""
    return plain.patches(rows[..., plain.grid.query_tokens(query), :].mean(dim=-2))


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("start", [0, 1])
def test_relevance(made: tuple[Run, Explicit], query: Query, start: int) -> None:
    run, plain = made
    own = relevance = torch.eye(plain.grid.tokens, dtype=torch.float64)
    for layer in range(start, 3):
        raised = (plain.weights[layer] * plain.gradients[layer]).clamp(min=0).mean(dim=0)
        relevance = relevance + raised @ relevance
    expected = at(plain, query, relevance - own)[None]
    close(ask(run, "relevance", query=query, options={"start": start}), expected)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("start", "residual"), [(0, 0.5), (1, 0.0), (0, 0.01), (0, 1.0)])
def test_gradient_rollout(made: tuple[Run, Explicit], query: Query, start: int, residual: float) -> None:
    run, plain = made
    rolled = own = torch.eye(plain.grid.tokens, dtype=torch.float64)
    for layer in range(start, 3):
        fused = (plain.weights[layer] * plain.gradients[layer]).mean(dim=0).clamp(min=0)
        step = residual * own + (1 - residual) * fused
        rolled = torch.nan_to_num(step / step.sum(dim=-1, keepdim=True)) @ rolled
    expected = at(plain, query, rolled)[None]
    found = ask(run, "gradient_rollout", query=query, options={"start": start, "residual": residual})
    if expected.any():
        close(found, expected)
    else:
        assert not found.any()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_attention_times_gradient(made: tuple[Run, Explicit], query: Query, layer: int) -> None:
    run, plain = made
    expected = at(plain, query, (plain.weights[layer] * plain.gradients[layer]).clamp(min=0))
    found = ask(run, "attention_gradient", layer=layer, query=query)
    if expected.any():
        close(found, expected)
    else:
        assert (layer, query == "cls") == (2, run.trace.spec.pooling in {"mean", "mean_norm"})
        assert not found.any()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_grad_cam(made: tuple[Run, Explicit], layer: int) -> None:
    run, plain = made
    direction = plain.of_normed[layer][plain.grid.prefix :].mean(dim=0)
    expected = plain.patches(plain.normed[layer] @ direction).clip(min=0)[None]
    close(ask(run, "grad_cam", layer=layer), expected)


def test_input_times_gradient(made: tuple[Run, Explicit]) -> None:
    run, plain = made
    expected = by_patch(plain.pixels * plain.of_pixels, plain.grid)
    assert expected.min() < 0 < expected.max()
    close(ask(run, "input_gradient"), expected[None])


def test_legrad(made: tuple[Run, Explicit]) -> None:
    run, plain = made
    assert run.loaded is not None
    model = copy.deepcopy(run.loaded.model).double()
    tokens, rotation, layers = model.embed(plain.pixels), model.rotation(plain.pixels), []
    for block in model.blocks:
        q, k, v = block.attn.queries_keys_values(block.norm1(tokens), rotation)
        weights = explicit_weights(q, k, scale=block.attn.scale).requires_grad_()
        left = block.add(tokens, block.attn.project(weights @ v))
        gradient = torch.autograd.grad(model.classify(left)[0, 2], weights)[0][0]
        layers.append(plain.patches(gradient.clamp(min=0).mean(dim=(0, 1))))
        tokens = left.detach()
    close(ask(run, "legrad"), np.mean(layers, axis=0)[None])
    close(ask(run, "legrad", options={"start": 2}), layers[2][None])


@pytest.mark.parametrize("steps", [1, 7])
def test_integrated_gradients(made: tuple[Run, Explicit], steps: int) -> None:
    run, plain = made
    assert run.loaded is not None
    model = copy.deepcopy(run.loaded.model).double()
    places, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(plain.pixels)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        pixels = (plain.pixels * place).requires_grad_()
        total += weight * torch.autograd.grad(model(pixels)[0, 2], pixels)[0]
    double = replace(run, loaded=in_dtype(run.loaded, torch.float64))  # in float32 it is as exact as the model
    for kind, tolerance in ((double, 1e-6), (run, 5e-5)):
        found = ask(kind, "integrated_gradients", options={"steps": steps})
        close(found, by_patch(total * plain.pixels, plain.grid)[None], tolerance)


def test_integrated_gradients_add_up_to_the_difference_to_the_mean_colour() -> None:
    loaded = architecture("plain", spread=0.2)
    prepared = noise(loaded.spec)
    run = Run(attend(loaded, prepared), loaded, prepared)
    at_picture, at_mean = (float(loaded.model(x * prepared.tensor[None])[0, 1]) for x in (1, 0))
    found = ask(run, "integrated_gradients", target=1, options={"steps": 64})
    assert found.sum() == pytest.approx(at_picture - at_mean, rel=1e-4)
