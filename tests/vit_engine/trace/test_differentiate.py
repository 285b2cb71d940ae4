"""differentiate() against autograd through whole attention matrices, in float64, for every architecture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vit_engine.explicit import ARCHITECTURES, architecture, by_patch, close, explicit, in_dtype, noise
from vit_engine.errors import NumericalError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model import VisionTransformer
from vit_engine.trace import attend
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.targets import NormTarget, PatchTarget, Target
from vit_engine.weights import LoadedModel


class Steep(Target):
    """One whose gradient is infinite, although its score is 0."""

    name = label = "steep"

    def score(self, model: VisionTransformer, tokens: Tensor) -> Tensor:  # noqa: ARG002
        return (tokens - tokens.detach()).sqrt().sum(dim=(1, 2))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_are_those_of_the_plain_matrices(name: str, dtype: torch.dtype, tolerance: float) -> None:
    loaded = in_dtype(architecture(name), dtype)
    prepared = noise(loaded.spec)
    trace, gradients = differentiate(loaded, prepared, target="cat")
    plain = explicit(loaded, prepared, lambda model, tokens: model.classify(tokens)[:, 2])
    assert gradients.score == pytest.approx(plain.score, rel=tolerance)
    single = max(tolerance, 1e-6)  # maps are float32
    for layer, kept in gradients.layers.items():
        of_weights = kept.gradients.double() @ kept.values.double().mT
        close(of_weights.numpy(), plain.gradients[layer].numpy(), tolerance)
        weights = trace.weights(layer)
        close(weights, plain.weights[layer].numpy(), single)
        direction = plain.of_normed[layer][plain.grid.prefix :].mean(dim=0)
        close(gradients.activations[layer], plain.patches(plain.normed[layer] @ direction), single)
    assert gradients.pixels is not None
    close(gradients.pixels, by_patch(plain.pixels * plain.of_pixels, plain.grid), single)


@pytest.mark.parametrize("name", ["plain", "mean of all patches", "CLS and mean, four registers", "two classifiers"])
def test_only_tokens_that_the_target_is_read_from_have_a_gradient_in_the_last_layer(name: str) -> None:
    loaded = architecture(name)
    prefix, patches = loaded.spec.prefix, 35
    expected = {
        "cls": [0],
        "cls_dist": [0, 1],
        "mean": list(range(prefix, prefix + patches)),
        "cls_mean": [0, *range(prefix, prefix + patches)],
    }
    kept = differentiate(loaded, noise(loaded.spec), target=0)[1].layer(-1)
    assert kept.rows is not None
    assert kept.rows.tolist() == expected[loaded.spec.pooling]
    assert kept.gradients.abs().sum(dim=(0, 2)).nonzero().flatten().tolist() == kept.rows.tolist()


@pytest.mark.parametrize("scale", [30.0, 1000.0])
def test_gradients_of_extreme_scores(scale: float) -> None:
    loaded = architecture("two registers, LayerScale")
    for block in loaded.model.blocks:
        block.attn.qkv.weight[: 2 * loaded.spec.dim] *= scale**0.5
    loaded, prepared = in_dtype(loaded, torch.float64), noise(loaded.spec)
    gradients = differentiate(loaded, prepared, target=0)[1]
    plain = explicit(loaded, prepared, lambda model, tokens: model.classify(tokens)[:, 0])
    assert plain.weights[1].amax(dim=-1).median() > 0.9  # nearly one-hot
    assert gradients.pixels is not None
    close(gradients.pixels, by_patch(plain.pixels * plain.of_pixels, plain.grid), 1e-6)


@pytest.mark.parametrize("target", [NormTarget(), PatchTarget(1, 4)])
def test_targets_without_a_classifier(target: Target) -> None:
    loaded = architecture("two registers, LayerScale", class_names=())
    prepared = noise(loaded.spec)
    fixed = 2 + 1 + 1 * 7 + 4  # CLS, registers, row 1, column 4

    def score(model: VisionTransformer, tokens: Tensor) -> Tensor:
        normed = model.norm(tokens)[0]
        if target == NormTarget():
            return normed[:1].norm(dim=-1)
        return torch.cosine_similarity(normed[:1], normed[fixed].detach()[None], dim=-1)

    plain = explicit(loaded, prepared, score)
    gradients = differentiate(loaded, prepared, target=target.name)[1]
    assert gradients.score == pytest.approx(plain.score, rel=1e-5)
    assert gradients.pixels is not None
    close(gradients.pixels, by_patch(plain.pixels * plain.of_pixels, plain.grid))


def test_its_trace_is_that_of_attend() -> None:
    loaded = architecture("rotary positions")
    prepared = noise(loaded.spec)
    expected = attend(loaded, prepared, statistics="none")
    trace, gradients = differentiate(loaded, prepared)
    assert (trace.spec, trace.grid, trace.image_sha256) == (expected.spec, expected.grid, expected.image_sha256)
    assert [each.label for each in trace.predictions] == [each.label for each in expected.predictions]
    assert gradients.target.name == str(expected.predictions[0].number)  # the likeliest
    assert list(trace.layers) == [0, 1, 2]
    for layer, kept in trace.layers.items():
        for name in ("queries", "keys", "log_normalisers", "value_norms"):
            torch.testing.assert_close(getattr(kept, name), getattr(expected.layers[layer], name))


def test_a_trace_that_is_there_is_returned_and_changes_nothing() -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    given = attend(loaded, prepared)
    trace, gradients = differentiate(loaded, prepared, target=1, trace=given)
    assert trace is given
    assert gradients.pixels is not None
    close(gradients.pixels, _pixels(loaded, prepared, target=1))


def test_a_trace_of_another_model_precision_or_picture_is_refused() -> None:
    loaded, other = architecture("plain"), architecture("two registers, LayerScale")
    prepared = noise(loaded.spec)
    given = attend(loaded, prepared)
    with pytest.raises(SpecError, match=r"of the model that is differentiated, 'made' in torch\.float32"):
        differentiate(other, noise(other.spec), target=0, trace=given)
    with pytest.raises(SpecError, match=r"'made' in torch\.float64; got 'made' in torch\.float32"):
        differentiate(in_dtype(loaded, torch.float64), prepared, target=0, trace=given)
    for picture in (replace(prepared, sha256="0" * 64), noise(loaded.spec, (28, 20))):
        with pytest.raises(SpecError, match="a trace must be of the picture that is differentiated"):
            differentiate(loaded, picture, target=0, trace=given)


@pytest.mark.parametrize("layer", [0, 2])
def test_a_trace_of_other_weights_is_refused(layer: int) -> None:
    loaded, tuned = architecture("plain"), architecture("plain")
    prepared = noise(loaded.spec)
    tuned.model.blocks[layer].attn.qkv.weight *= 1.1
    with pytest.raises(SpecError, match=f"other weights than those of the model: its queries differ in layer {layer}"):
        differentiate(tuned, prepared, target=0, trace=attend(loaded, prepared))


def test_readouts_and_gradients_can_be_left_out() -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    both = differentiate(loaded, prepared, target=1)[1]
    readouts = differentiate(loaded, prepared, target=1, backward=False)[1]
    gradients = differentiate(loaded, prepared, target=1, readouts=False)[1]
    for layer in range(3):
        np.testing.assert_allclose(readouts.readouts[layer], both.readouts[layer], rtol=1e-5)
        torch.testing.assert_close(gradients.layer(layer).gradients, both.layer(layer).gradients)
    assert (readouts.layers, readouts.activations, readouts.pixels, gradients.readouts) == ({}, {}, None, {})
    with pytest.raises(SpecError, match="these gradients hold readouts alone: make them with backward=True"):
        readouts.layer(0)


def test_a_target_without_any_gradient_leaves_zeros() -> None:
    loaded = architecture("plain")
    loaded.model.head.weight[3] = 0
    gradients = differentiate(loaded, noise(loaded.spec), target="dog")[1]
    maps = [gradients.pixels, *gradients.readouts.values(), *gradients.activations.values()]
    assert not any(np.any(each) for each in maps)
    assert not any(kept.gradients.any() for kept in gradients.layers.values())


@pytest.mark.parametrize("backward", [True, False])
def test_a_gradient_that_is_not_finite_is_refused_with_its_layer(backward: bool) -> None:
    loaded = architecture("plain")
    with pytest.raises(NumericalError, match=r"the gradient of 'steep' is not finite in layer 2: .*model\.double"):
        differentiate(loaded, noise(loaded.spec), target=Steep(), backward=backward)


def test_activations_that_overflow_are_refused() -> None:
    loaded = architecture("plain")
    loaded.model.blocks[1].mlp.fc2.weight *= 1e38
    with pytest.raises(NumericalError, match="the activations of 'made' overflow in layer 2"):
        differentiate(loaded, noise(loaded.spec), target=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(dtype: torch.dtype) -> None:
    loaded = architecture("plain")
    with pytest.raises(SpecError, match=r"gradients need a model in float32 or wider: .*; got torch\.b?float16"):
        differentiate(in_dtype(loaded, dtype), noise(loaded.spec), target=0)


def test_a_picture_for_another_patch_size_is_refused() -> None:
    loaded, other = architecture("plain"), architecture("plain", patch_size=2)
    with pytest.raises(SpecError, match="prepared for patches of 2 px"):
        differentiate(loaded, noise(other.spec), target=0)


def test_without_a_classifier_a_target_must_be_named() -> None:
    loaded = architecture("plain", class_names=())
    with pytest.raises(SpecError, match="'made' has no classifier, so a target must be named"):
        differentiate(loaded, noise(loaded.spec))


def test_progress_is_told_after_each_layer_and_may_stop_the_run() -> None:
    loaded = architecture("plain")
    heard: list[tuple[float, str]] = []
    differentiate(loaded, noise(loaded.spec), target=0, progress=lambda *said: heard.append(said))
    fractions = [fraction for fraction, _ in heard]
    assert len(heard) == 6
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    with pytest.raises(KeyboardInterrupt):
        differentiate(loaded, noise(loaded.spec), target=0, progress=_stop)


def _stop(fraction: float, message: str) -> None:
    raise KeyboardInterrupt(f"{message} at {fraction}")


def test_it_works_in_inference_mode_and_where_gradients_are_off() -> None:
    expected = _pixels(architecture("plain"), noise(architecture("plain").spec))
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            loaded = architecture("plain")
            np.testing.assert_array_equal(_pixels(loaded, noise(loaded.spec)), expected)


def _pixels(loaded: LoadedModel, prepared: PreparedImage, target: int = 0) -> np.ndarray:
    found = differentiate(loaded, prepared, target=target)[1].pixels
    assert found is not None
    return found


def test_no_parameter_gets_a_gradient() -> None:
    loaded = architecture("plain")
    differentiate(loaded, noise(loaded.spec), target=0)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loaded.model.parameters())


def test_gradients_say_what_they_are_of_and_how_large() -> None:
    loaded = architecture("two registers, LayerScale")
    gradients = differentiate(loaded, noise(loaded.spec), target=1)[1]
    vectors = 3 * 2 * 3 * 38 * 4 * 4  # layers, V and G, heads, tokens, dimensions, bytes
    maps = 3 * (3 + 1) * 35 * 4
    assert gradients.nbytes == vectors + maps
    assert gradients.grid == TokenGrid(3, 5, 7, 4)
    assert repr(gradients).startswith("Gradients('made', 'class 1, bee', 5×7 patches, 0.0 MB")
    with pytest.raises(TypeError):
        gradients.layers[0] = gradients.layers[1]  # type: ignore[index]
