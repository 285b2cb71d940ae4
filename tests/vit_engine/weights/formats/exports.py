"""Models exported as ONNX by PyTorch's two exporters, and what onnxruntime computes with them."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

import vit_engine as ve
from tests.vit_engine.weights.formats.support import TOLERANCE, assert_relatively_close, pictures, prepared
from vit_engine.weights import LoadedModel

EXPORTERS = ("torchscript", "dynamo")
registry_of_opset = cache(ONNXRegistry.from_torchlib)


class Computed(NamedTuple):
    """What onnxruntime makes of a picture: attention (heads, N, N) of every layer, and the graph's outputs."""

    attention: Sequence[Tensor]
    outputs: Sequence[Tensor]


@contextmanager
def one_registry() -> Iterator[None]:
    """The newer exporter's table of operators, read from the source of 500 functions: once, not for every export.

    It depends on the version of ONNX alone, and exports without operators of their own leave it as it is.
    """
    with patch.object(ONNXRegistry, "from_torchlib", staticmethod(registry_of_opset)):
        yield


def export(
    model: nn.Module, path: Path, exporter: str, size: tuple[int, int], *, opset: int | None = None, half: bool = False
) -> Path:
    """As torch.onnx.export() writes it, with the names that it chooses itself."""
    images = pictures(*size).to(torch.float16 if half else torch.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    older = {"dynamo": False, "opset_version": opset or 17}
    with warnings.catch_warnings(), torch.no_grad(), one_registry():
        warnings.simplefilter("ignore")  # of tracing, and of what is deprecated
        newer = {"dynamo": True, "verbose": False, **({"opset_version": opset} if opset else {})}
        torch.onnx.export(model, (images,), str(path), **(older if exporter == "torchscript" else newer))
    return path


def change(path: Path, edit: Callable[[onnx.ModelProto], None], to: Path | None = None) -> Path:
    """The same file, all tensors in it, after an edit."""
    model = onnx.load(path)
    edit(model)
    onnx.save(model, to or path)
    return to or path


def compute(path: Path, images: Tensor) -> Computed:
    """By onnxruntime, with the results of every Softmax as outputs, too."""
    model = onnx.load(path)
    softmaxes = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
    wanted = [output.name for output in model.graph.output]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in softmaxes)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (first, *_) = session.get_inputs()
    dtype = np.float16 if "float16" in first.type else np.float32
    results = session.run([*wanted, *softmaxes], {first.name: images.numpy().astype(dtype)})
    tensors = [torch.from_numpy(result) for result in results]
    attention = [each.float().reshape(-1, *each.shape[-2:]) for each in tensors[len(wanted) :]]
    return Computed(attention, tensors[: len(wanted)])


def assert_computes(
    loaded: LoadedModel, path: Path, size: tuple[int, int], output: Callable[[Sequence[Tensor]], Tensor]
) -> None:
    """The same attention in every layer as onnxruntime computes with the file, and the same output."""
    images = pictures(*size)
    computed = compute(path, images)
    trace = ve.attend(loaded, prepared(loaded, images))
    assert len(computed.attention) == loaded.spec.depth
    for layer, expected in enumerate(computed.attention):
        weights = torch.from_numpy(trace.weights(layer))
        assert expected.shape == weights.shape
        assert expected.std() > 0.1 / expected.shape[-1], "attention so even proves nothing"
        torch.testing.assert_close(weights, expected, rtol=0, atol=TOLERANCE)
    assert_relatively_close(loaded.model(images)[0], output(computed.outputs).flatten())


def weights_of(path: Path) -> Mapping[str, onnx.TensorProto]:
    """Initializers that are real numbers, more than one each."""
    tensors = onnx.load(path).graph.initializer
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
    return {each.name: each for each in tensors if each.data_type in kinds and np.prod(each.dims) > 1}
