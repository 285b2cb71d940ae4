"""What the contenders compute: the same attention, all of it."""

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

import vit_engine as ve
from benchmarks.contenders import CONTENDERS, Pictures, timm_model, transformers_model
from benchmarks.plan import S16


def run(contender: str, loaded: ve.LoadedModel, *, size: tuple[int, int], count: int = 1) -> Any:
    return CONTENDERS[contender](loaded)(Pictures.of_noise(loaded.spec, size=size, count=count))


def matrices(contender: str, loaded: ve.LoadedModel, *, size: tuple[int, int]) -> list[Tensor]:
    """By layer, each (B, H, N, N); of the last layer alone for "last"."""
    left = run(contender, loaded, size=size)
    if contender == "explicit":
        return left[0]
    if contender == "timm":
        assert list(left) == [f"blocks.{layer}.attn.attn_drop" for layer in range(12)]
        return list(left.values())
    return [left] if contender == "last" else list(left)


@pytest.mark.parametrize(("contender", "layers"), [("explicit", 12), ("timm", 12), ("transformers", 12), ("last", 1)])
def test_matrices_are_layers_of_heads_of_tokens_squared(contender: str, layers: int, loaded: ve.LoadedModel) -> None:
    shapes = [tuple(each.shape) for each in matrices(contender, loaded, size=(32, 80))]
    assert shapes == [(1, 3, 11, 11)] * layers  # 2×5 patches and CLS


def test_all_contenders_show_the_same_attention(loaded: ve.LoadedModel) -> None:
    size = loaded.spec.native_size  # elsewhere each resamples the positions in its own way
    [trace] = run("ours", loaded, size=size)
    expected = [torch.from_numpy(trace.weights(layer))[None] for layer in range(12)]
    assert min(float((a - b).abs().max()) for a, b in combinations(expected, 2)) > 1e-2, "the layers must differ"
    for contender in ("explicit", "timm", "transformers"):
        for layer, found in enumerate(matrices(contender, loaded, size=size)):
            torch.testing.assert_close(found, expected[layer], atol=1e-4, rtol=0, msg=f"{contender}, layer {layer}")
    torch.testing.assert_close(matrices("last", loaded, size=size)[0], expected[-1], atol=1e-4, rtol=0)


def test_explicit_entropies_are_those_of_attend(loaded: ve.LoadedModel) -> None:
    _, entropies = run("explicit", loaded, size=(32, 80))
    [trace] = run("entropy", loaded, size=(32, 80))
    mean = torch.stack([each[0].mean(dim=-1) for each in entropies])
    torch.testing.assert_close(mean, torch.tensor(trace.statistics.mean_entropy), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("contender", "layers", "distance"),
    [
        ("ours", tuple(range(12)), True),
        ("entropy", tuple(range(12)), False),
        ("ours_last_layer", (11,), True),
        ("ours_first_layer", (0,), True),
    ],
)
def test_attend_records_what_its_name_says(
    contender: str, layers: tuple[int, ...], distance: bool, loaded: ve.LoadedModel
) -> None:
    traces = run(contender, loaded, size=(32, 80), count=2)
    first, second = (trace.layers[layers[0]].queries for trace in traces)
    assert not torch.equal(first, second), "one trace a picture"
    for trace in traces:
        assert tuple(trace.layers) == layers
        assert {tuple(layer.queries.shape) for layer in trace.layers.values()} == {(3, 11, 64)}
        assert trace.statistics.mean_entropy.shape == (len(layers), 3)
        assert (trace.statistics.distance is not None) is distance


def test_limit_is_the_models_output_for_the_whole_batch(loaded: ve.LoadedModel) -> None:
    assert run("limit", loaded, size=(32, 80), count=2).shape == (2, 192)


def test_other_libraries_models_have_the_same_parameters(loaded: ve.LoadedModel) -> None:
    models = (loaded.model, timm_model(loaded), transformers_model(loaded))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
    assert counts == [counts[0]] * 3
    assert not any(model.training for model in models)


def test_pictures_of_a_batch_differ_and_are_the_same_every_time() -> None:
    spec = next(spec for spec in ve.list_models() if spec.name == S16)
    first, again = (Pictures.of_noise(spec, size=(32, 48), count=2) for _ in range(2))
    assert first.images.shape == (2, 3, 32, 48)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images[0], first.images[1])
    assert torch.equal(first.images[1], first.prepared[1].tensor)
