"""What a run of attend() holds, reports and shares: memory, progress and threads."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vit_engine.errors import ResourceError, SpecError
from vit_engine.image import PreparedImage, prepare_image
from vit_engine.model import Mlp
from vit_engine.planning.estimates import estimate
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel, load_model


def held_by(thing: object) -> Iterator[object]:
    """Everything that an object holds, through dataclasses, dicts and tuples."""
    yield thing
    if dataclasses.is_dataclass(thing):
        parts = vars(thing).values()
    elif isinstance(thing, Mapping):
        parts = thing.values()
    else:
        parts = thing if isinstance(thing, tuple | list) else ()
    for part in parts:
        yield from held_by(part)


def test_a_trace_holds_nothing_of_the_size_of_a_matrix_and_no_model(
    small: LoadedModel, prepared: PreparedImage
) -> None:
    trace = attend(small, prepared)
    tokens, width = trace.grid.tokens, small.spec.dim
    things = list(held_by(trace))
    assert not any(isinstance(thing, nn.Module | LoadedModel) for thing in things)
    tensors = [thing for thing in things if isinstance(thing, Tensor)]
    assert len(tensors) == 5 * small.spec.depth
    for tensor in tensors:
        assert tensor.numel() <= tokens * width < tokens**2
        assert tensor.untyped_storage().nbytes() == 4 * tensor.numel(), "a view that keeps a larger tensor alive"
    assert all(array.size <= small.spec.depth * small.spec.heads for array in things if isinstance(array, np.ndarray))
    assert trace.nbytes == sum(4 * tensor.numel() for tensor in tensors)


@pytest.mark.parametrize(("layer", "number"), [(-1, 4), (-2, 3), (-5, 0), (1, 1)])
def test_negative_layers_count_from_the_last(
    small_spec: ModelSpec, prepared: PreparedImage, layer: int, number: int
) -> None:
    deep = load_model(dataclasses.replace(small_spec, depth=5), weights="random", device="cpu")
    trace = attend(deep, prepared, layers=layer)
    assert list(trace.layers) == [number]
    assert trace.attention_map(layer).label.startswith(f"layer {number} ")


def test_progress_is_told_after_each_layer(small: LoadedModel, prepared: PreparedImage) -> None:
    told: list[tuple[float, str]] = []
    attend(small, prepared, layers=1, progress=lambda *step: told.append(step))
    assert told == [(0.5, "layer 1 of 2"), (1.0, "layer 2 of 2")]


def unclassified(small_spec: ModelSpec, depth: int) -> LoadedModel:
    """Without a classifier there are no predictions to run the last layers for."""
    spec = dataclasses.replace(small_spec, depth=depth, class_names=())
    return load_model(spec, weights="random", device="cpu")


@contextlib.contextmanager
def calls_of(model: nn.Module, *kinds: type[nn.Module]) -> Iterator[list[str]]:
    """The names of the modules of these kinds that run, in order."""
    called: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    yield called
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(("layers", "numbers"), [(0, [0]), ([2, 0], [0, 2]), ("all", [0, 1, 2, 3])])
def test_without_a_classifier_a_run_ends_in_the_attention_of_the_last_layer_asked_for(
    small_spec: ModelSpec, prepared: PreparedImage, layers: str | int | list[int], numbers: list[int]
) -> None:
    deep = unclassified(small_spec, depth=4)
    told: list[tuple[float, str]] = []
    with calls_of(deep.model, Mlp) as called:
        trace = attend(deep, prepared, layers=layers, progress=lambda *step: told.append(step))
    assert list(trace.layers) == numbers
    assert called == [f"blocks.{layer}.mlp" for layer in range(numbers[-1])]
    assert told[-1] == (1.0, f"layer {numbers[-1] + 1} of 4")
    whole = attend(deep, prepared)
    for number in numbers:
        np.testing.assert_allclose(trace.weights(number), whole.weights(number), rtol=1e-5)


def test_a_run_past_the_memory_budget_is_refused_before_it_starts(
    small: LoadedModel, prepared: PreparedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = estimate(small.spec, prepared.grid, device="cpu").peak_bytes
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", str(needed))
    attend(small, prepared)
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", str(needed - 1))
    with calls_of(small.model, nn.Module) as called, pytest.raises(ResourceError, match=r"short side of \d+ px"):
        attend(small, prepared)
    assert not called


class Stopped(Exception):  # noqa: N818
    pass


def test_what_progress_raises_stops_the_run(small: LoadedModel, prepared: PreparedImage) -> None:
    told: list[float] = []

    def stop(fraction: float, message: str) -> None:
        told.append(fraction)
        raise Stopped(message)

    with pytest.raises(Stopped, match="layer 1 of 2"):
        attend(small, prepared, progress=stop)
    assert told == [0.5]


def picture(spec: ModelSpec, seed: int, size: tuple[int, int]) -> PreparedImage:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return prepare_image(Image.fromarray(noise), spec, size=size)


def assert_same(a: AttentionTrace, b: AttentionTrace) -> None:
    assert (a.grid, a.image_sha256) == (b.grid, b.image_sha256)
    np.testing.assert_allclose(a.statistics.to_frame(), b.statistics.to_frame(), rtol=1e-5, atol=1e-6)
    for layer in a.layers:
        np.testing.assert_allclose(a.weights(layer), b.weights(layer), rtol=1e-5, atol=1e-6)


def test_threads_that_share_a_model_each_get_their_own_trace(small: LoadedModel) -> None:
    pictures = [picture(small.spec, 1, (12, 28)), picture(small.spec, 2, (20, 28)), picture(small.spec, 3, (20, 28))]
    serial = [attend(small, prepared) for prepared in pictures]
    assert not np.allclose(serial[1].weights(0), serial[2].weights(0), atol=1e-2)
    together = Barrier(len(pictures))

    def run(prepared: PreparedImage) -> AttentionTrace:  # the threads meet after every layer
        return attend(small, prepared, progress=lambda *_: together.wait(timeout=30))

    with ThreadPoolExecutor(len(pictures)) as pool:
        for _ in range(5):
            for got, expected in zip(pool.map(run, pictures), serial, strict=True):
                assert_same(got, expected)


def test_a_run_leaves_torchs_own_state_alone(small: LoadedModel, prepared: PreparedImage) -> None:
    before = torch.get_rng_state(), torch.is_grad_enabled()
    attend(small, prepared)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.is_grad_enabled() == before[1]
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("other", [{"patch_size": 2}, {"registers": 0}])
def test_a_picture_prepared_for_another_model_is_refused(
    small: LoadedModel, small_spec: ModelSpec, other: dict[str, int]
) -> None:
    prepared = picture(dataclasses.replace(small_spec, **other), 0, (20, 28))
    got = f"patches of {prepared.grid.patch_size} px and {prepared.grid.prefix} prefix tokens"
    message = rf"{got}; 'small' has 4 px and 3: prepare it"
    with pytest.raises(SpecError, match=message):
        attend(small, prepared)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_model_has_float32_statistics(
    small: LoadedModel, prepared: PreparedImage, dtype: torch.dtype
) -> None:
    spec = small.spec
    model = type(small.model)(spec)
    model.load_state_dict(small.model.state_dict())
    half = LoadedModel(spec, model.to(dtype).eval().requires_grad_(False), small.report)
    trace = attend(half, prepared)
    assert trace.layers[0].queries.dtype == dtype
    assert trace.layers[0].log_normalisers.dtype == torch.float32
    weights = trace.weights(0)
    np.testing.assert_allclose(trace.rows(0, (2, 3)), weights[:, 3 + 2 * 7 + 3], rtol=1e-4, atol=1e-5)
    frame = trace.statistics.to_frame()
    assert frame.notna().all(axis=None)
    np.testing.assert_allclose(frame["cls_maximum"][:3], weights[:, 0].max(axis=-1), rtol=1e-4)


def test_a_trace_in_a_notebook_is_one_line(small: LoadedModel, prepared: PreparedImage) -> None:
    whole, last = attend(small, prepared), attend(small, prepared, layers=-1)
    assert repr(whole).startswith("AttentionTrace('small', 5×7 patches, layers 0..1, 3 heads, ")
    assert ", layer 1, " in repr(last)
    assert repr(small) == "LoadedModel('small', 0.0 M parameters, 2 layers × 3 heads, patches of 4 px, 'cpu')"
