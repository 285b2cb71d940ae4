"""Each gradient method is what the plain N×N matrices give, in float64, for every architecture."""

import copy
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.vit_engine.explicit import ARCHITECTURES, Explicit, architecture, by_patch, close, explicit, in_dtype, noise
from tests.vit_engine.trace.test_differentiate import Steep
from vit_engine.analysis.masses import mass_of
from vit_engine.analysis.methods import METHODS, find_method
from vit_engine.analysis.run import Run
from vit_engine.analysis.weighted_gradients import fused_step, positive_sums
from vit_engine.errors import NumericalError, SpecError
from vit_engine.grid import Query
from vit_engine.model.streaming import explicit_weights
from vit_engine.model.weights import are_coarse
from vit_engine.trace import attend
from vit_engine.trace.differentiate import differentiate

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
    found = ask(run, "integrated_gradients", target=1, options={"steps": 16})
    assert found.sum() == pytest.approx(at_picture - at_mean, rel=1e-3)


GRADIENT_METHODS = [method.name for method in METHODS if "target" in method.depends_on]


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_map_without_any_gradient_says_why(name: str) -> None:
    loaded = architecture("plain")
    loaded.model.head.weight[3] = 0
    prepared = noise(loaded.spec)
    run, method = Run(attend(loaded, prepared), loaded, prepared), find_method(name)
    options = {"gradient_rollout": {"residual": 0.0}, "integrated_gradients": {"steps": 1}}.get(name, {})
    found = method.attribute(run, target=3, options=options)
    assert not found.map.values.any()
    assert found.note == method.empty
    assert method.attribute(run, target=2, options=options).note == ""


def test_a_query_without_a_gradient_in_the_last_layer_says_why() -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    run = Run(attend(loaded, prepared), loaded, prepared)
    for name, choices in (("attention_gradient", {"layer": -1}), ("relevance", {"options": {"start": 2}})):
        method = find_method(name)
        asked: dict[str, Any] = {"query": (0, 0), "target": 1, **choices}
        assert method.attribute(run, **asked).note == method.empty
        assert method.attribute(run, **{**asked, "query": "cls"}).note == ""


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_map_that_is_not_finite_is_refused(name: str) -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    run = Run(attend(loaded, prepared), loaded, prepared)
    with pytest.raises(NumericalError, match=r"steep|overflows"):
        find_method(name).attribute(run, target=Steep())


@pytest.mark.parametrize("name", ["relevance", "gradient_rollout", "attention_gradient"])
@pytest.mark.parametrize("query", QUERIES)
def test_scores_too_large_for_float32(name: str, query: Query) -> None:
    """The trace's own float32 queries and keys, taken in float64 by the plain matrices too."""
    loaded = architecture("mean of all patches")
    for block in loaded.model.blocks:
        block.attn.qkv.weight[: 2 * loaded.spec.dim] *= 12
    prepared = noise(loaded.spec)
    trace, gradients = differentiate(loaded, prepared, target=2)
    layer, kept = trace.layer(1), gradients.layer(1)
    assert are_coarse(layer.queries, layer.keys, layer.scale)
    weights = explicit_weights(layer.queries.double(), layer.keys.double(), scale=layer.scale)
    products = weights * (kept.gradients.double() @ kept.values.double().mT)
    rows, own = trace.grid.query_tokens(query), torch.eye(trace.grid.tokens, dtype=torch.float64)
    if name == "gradient_rollout":
        fused = own + products.mean(dim=0).clamp(min=0)
        expected = (fused / fused.sum(dim=-1, keepdim=True))[rows].mean(dim=0)[None]
        found = fused_step(layer, kept, mass_of(trace, query), residual=0.5)[None]
    else:
        expected = products.clamp(min=0)[:, rows].mean(dim=1)
        found = positive_sums(layer, kept, mass_of(trace, query))
    close(found.double().numpy(), expected.numpy(), 1e-6)


@pytest.mark.parametrize("name", GRADIENT_METHODS)
def test_a_method_says_all_that_its_card_shows(name: str) -> None:
    method = find_method(name)
    for text in (method.description, method.cost, method.misleads, method.empty):
        assert text.endswith(".")
        assert "  " not in text
    assert method.formula
    assert method.formula.count("{") == method.formula.count("}")


def test_progress_is_told_after_each_step_of_integrated_gradients() -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    heard: list[tuple[float, str]] = []
    run = Run(attend(loaded, prepared), loaded, prepared, progress=lambda *said: heard.append(said))
    ask(run, "integrated_gradients", options={"steps": 3})
    assert heard == [(pytest.approx(step / 3), f"step {step} of 3") for step in (1, 2, 3)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("relevance", {"start": 3}, "start must be a whole number in 0..2 for 'made'; got 3"),
        ("gradient_rollout", {"residual": 1.5}, "residual must be a number in 0..1; got 1.5"),
        ("integrated_gradients", {"steps": 0}, "steps must be a whole number in 1..512; got 0"),
        ("legrad", {"steps": 1}, "the method 'legrad' has no option 'steps'; it has start"),
    ],
)
def test_options_that_there_are_not_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    with pytest.raises(SpecError, match=re.escape(message)):
        find_method(name).attribute(Run(attend(loaded, prepared), loaded, prepared), target=0, options=options)
