"""What a graph says of a model, and what it does that no Vision Transformer here does."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import Dinov2Config, Dinov2Model

from tests.vit_engine.weights.formats.exports import change, export
from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.formats.timm_peers import small
from vit_engine.errors import CheckpointError
from vit_engine.weights import LoadedModel, inspect_checkpoint, load_model

SIZE = (20, 20)
DINOV2 = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 4, "image_size": 20}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return small("vit_tiny_patch16_224", num_classes=5, img_size=20, dynamic_img_size=False)


@pytest.fixture(scope="module")
def older(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the exporter whose names of nodes have their module's."""
    return export(model, tmp_path_factory.mktemp("older") / "w.onnx", "torchscript", SIZE)


@pytest.fixture(scope="module")
def newer(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the exporter that puts tensors into another file, and says of every node which module it is from."""
    return export(model, tmp_path_factory.mktemp("newer") / "w.onnx", "dynamo", SIZE)


def assert_is(loaded: LoadedModel, model: nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name


def node_of(graph: GraphProto, name: str) -> NodeProto:
    return next(node for node in graph.node if node.name == name)


def tensor_of(graph: GraphProto, name: str) -> onnx.TensorProto:
    return next(each for each in graph.initializer if each.name == name)


def set_constant(graph: GraphProto, name: str, value: np.ndarray) -> None:
    """Of a Constant node, by the name of its result."""
    node = next(node for node in graph.node if name in node.output)
    node.attribute[0].t.CopyFrom(numpy_helper.from_array(value))


def test_tensors_are_those_of_the_model(model: nn.Module, older: Path, newer: Path) -> None:
    for path in (older, newer):
        loaded = load_model(path, device="cpu")
        assert_is(loaded, model)
        assert inspect_checkpoint(path).spec == loaded.spec
    converted = dict(load_model(older, device="cpu").report.converted)
    assert converted[node_of(onnx.load(older).graph, "/blocks/blocks.1/attn/proj/MatMul").input[1]] == (
        "blocks.1.attn.proj.weight"
    )


def behind_a_transpose(graph: GraphProto) -> None:
    """The weight is stored as PyTorch has it, and transposed by a node: square, so that its shape shows nothing."""
    node = node_of(graph, "/blocks/blocks.0/attn/proj/MatMul")
    tensor = tensor_of(graph, node.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).T.copy(), tensor.name))
    place = list(graph.node).index(node)
    graph.node.insert(place, helper.make_node("Transpose", [tensor.name], ["turned"], perm=[1, 0]))
    node.input[1] = "turned"


def as_gemm(graph: GraphProto, *, transposed: int) -> None:
    """The Linear after attention as one node, which says itself whether its weight is transposed."""
    node, added = (node_of(graph, f"/blocks/blocks.0/attn/proj/{kind}") for kind in ("MatMul", "Add"))
    tensor = tensor_of(graph, node.input[1])
    if transposed:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).T.copy(), tensor.name))
    bias = next(name for name in added.input if name not in node.output)
    node.CopyFrom(helper.make_node("Gemm", [*node.input, bias], list(added.output), name=node.name, transB=transposed))
    graph.node.remove(added)


def without_aliases(graph: GraphProto) -> None:
    """Equal tensors stand once, and all use that one, as simplifiers leave them."""
    for alias in [node for node in graph.node if node.op_type == "Identity"]:
        for node in graph.node:
            node.input[:] = [alias.input[0] if name == alias.output[0] else name for name in node.input]
        graph.node.remove(alias)


@pytest.mark.parametrize(
    "edit",
    [behind_a_transpose, lambda graph: as_gemm(graph, transposed=0), lambda graph: as_gemm(graph, transposed=1)],
    ids=["transpose", "gemm", "gemm-transposed"],
)
def test_how_a_node_uses_a_weight_shows_whether_it_is_transposed(
    edit: Callable[[GraphProto], None], model: nn.Module, older: Path, tmp_path: Path
) -> None:
    path = change(older, lambda each: edit(each.graph), tmp_path / "w.onnx")
    assert_is(load_model(path, device="cpu"), model)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_tensor_that_several_modules_share_goes_to_each(exporter: str, tmp_path: Path) -> None:
    """Norms of a model that nobody has trained are all equal, and so are its biases."""
    model = small("vit_tiny_patch16_224", num_classes=5, img_size=20, dynamic_img_size=False)
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1 and name not in {"head.bias", "patch_embed.proj.bias"}:
            tensor.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    path = export(model, tmp_path / "w.onnx", exporter, SIZE)
    assert (
        len({"blocks.0.norm1.weight", "norm.weight"} & {each.name for each in onnx.load(path).graph.initializer}) == 1
    )
    assert_is(load_model(path, device="cpu"), model)
    assert_is(load_model(change(path, lambda each: without_aliases(each.graph)), device="cpu"), model)


def scaled_otherwise(graph: GraphProto) -> None:
    set_constant(graph, "/blocks/blocks.0/attn/Constant_7_output_0", np.array([2.0], np.float32))


def swapped(graph: GraphProto) -> None:
    first, second = (node_of(graph, f"/blocks/blocks.0/attn/Squeeze{end}") for end in ("", "_1"))
    first.input[0], second.input[0] = second.input[0], first.input[0]


def biased_scores(graph: GraphProto) -> None:
    softmax = node_of(graph, "/blocks/blocks.0/attn/Softmax")
    graph.initializer.append(numpy_helper.from_array(np.eye(26, dtype=np.float32)[None, None], "relative"))
    added = helper.make_node("Add", [softmax.input[0], "relative"], ["biased"])
    graph.node.insert(list(graph.node).index(softmax), added)
    softmax.input[0] = "biased"


def rotated(graph: GraphProto) -> None:
    """Queries are multiplied by what is in no weight."""
    product = node_of(graph, "/blocks/blocks.0/attn/Mul")
    graph.initializer.append(numpy_helper.from_array(np.ones((26, 8), np.float32), "cosines"))
    turned = helper.make_node("Mul", [product.input[0], "cosines"], ["turned"])
    graph.node.insert(list(graph.node).index(product), turned)
    product.input[0] = "turned"


def relu(graph: GraphProto) -> None:
    node = node_of(graph, "/blocks/blocks.0/mlp/act/Erf")
    node.op_type = "Relu"


def other_eps(graph: GraphProto) -> None:
    node = node_of(graph, "/blocks/blocks.1/norm2/LayerNormalization")
    next(each for each in node.attribute if each.name == "epsilon").f = 1e-3


def other_bias(graph: GraphProto) -> None:
    """The bias of another module is added to a product."""
    node = node_of(graph, "/blocks/blocks.0/attn/proj/Add")
    node.input[:] = ["blocks.0.mlp.fc2.bias" if "bias" in name else name for name in node.input]
    other = node_of(graph, "/blocks/blocks.0/mlp/fc2/Add")
    other.input[:] = ["blocks.0.attn.proj.bias" if "bias" in name else name for name in other.input]


def overlapping(graph: GraphProto) -> None:
    node = node_of(graph, "/patch_embed/proj/Conv")
    next(each for each in node.attribute if each.name == "strides").ints[:] = [2, 2]


def scaled_product(graph: GraphProto) -> None:
    node = next(node for node in graph.node if node.op_type == "Gemm")
    next(each for each in node.attribute if each.name == "alpha").f = 2.0


REFUSED = {
    "overlapping": (overlapping, r"its patches of 4×4 px are not side by side: they are taken at strides of 2, 2"),
    "scaled-product": (scaled_product, r"is no Linear: it scales what it multiplies"),
    "scale": (scaled_otherwise, r"layer 0 scales its scores by 0\.707107; expected 1/√8, 0\.353553"),
    "swapped": (swapped, r"layer 0 takes queries, keys and values in another order"),
    "mask": (biased_scores, r"scores that are changed by Add"),
    "rotated": (rotated, r"layer 0 changes its queries and keys after their projection"),
    "relu": (relu, r"its MLP has the activation Relu"),
    "eps": (other_eps, r"its LayerNorms must all have one eps; got \[.*e-0\d, 0\.001.*\]"),
    "bias": (other_bias, r"adds 'blocks\.0\.mlp\.fc2\.bias', which is of another module"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_computed_otherwise_is_refused(name: str, older: Path, tmp_path: Path) -> None:
    edit, message = REFUSED[name]
    path = change(older, lambda model: edit(model.graph), tmp_path / "w.onnx")
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(path, device="cpu")
    assert "w.onnx" in str(error.value)


class Behind(nn.Module):
    """A backbone, and a decoder of its own that sees its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Dinov2Model(Dinov2Config(**DINOV2))
        self.decoder = nn.Sequential(nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.backbone(images).last_hidden_state)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_decoder_behind_the_model_is_left_out(exporter: str, tmp_path: Path) -> None:
    model = randomise(Behind())
    loaded = load_model(export(model, tmp_path / "w.onnx", exporter, SIZE), device="cpu")
    assert (loaded.spec.family, loaded.spec.resampling) == ("dinov2", "bicubic")
    reasons = Counter(why for _, why in loaded.report.dropped)
    assert reasons["of what the graph computes from the model's tokens, and not of the model"] == 4
    assert reasons["of a mask that hides nothing"] == sum(reasons.values()) - 4
    expected = model.backbone(torch.ones(1, 3, *SIZE)).pooler_output
    torch.testing.assert_close(loaded.model(torch.ones(1, 3, *SIZE)), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder of its own, for a config.json beside it."""
    model = randomise(Dinov2Model(Dinov2Config(**DINOV2)))
    return export(model, tmp_path_factory.mktemp("configured") / "model.onnx", "dynamo", SIZE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 6}, r"has 3 heads, and 6 are said by config\.json"),
        ({"layer_norm_eps": 0.1}, r"LayerNorms of eps 1e-06, its configuration 0\.1"),
        ({"hidden_act": "gelu_new"}, r"MLPs with gelu, and its configuration says gelu_tanh"),
    ],
)
def test_a_configuration_that_contradicts_the_graph_is_refused(
    changes: dict[str, object], message: str, configured: Path
) -> None:
    path, config = configured, configured.with_name("config.json")
    config.write_text(json.dumps({"model_type": "dinov2", **DINOV2}))
    assert load_model(path, device="cpu").report.heads_from == "config.json"
    config.write_text(json.dumps({"model_type": "dinov2", **DINOV2, **changes}))
    with pytest.raises(CheckpointError, match=message):
        load_model(path, device="cpu")


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_convolutional_network_is_refused_by_what_it_is(exporter: str, tmp_path: Path) -> None:
    path = export(ResNet(BasicBlock, [1, 1, 1, 1]).eval(), tmp_path / "w.onnx", exporter, (32, 32))
    with pytest.raises(CheckpointError, match=r"it is a convolutional network \(ResNet"):
        load_model(path, device="cpu")


def test_quantised_weights_are_refused(older: Path, tmp_path: Path) -> None:
    path = tmp_path / "model_quantized.onnx"
    quantize_dynamic(older, path)
    with pytest.raises(CheckpointError, match=r"is quantised.*MatMulInteger.*Pass the model as it was before"):
        load_model(path, device="cpu")


@pytest.mark.parametrize(
    ("domain", "operator", "message"),
    [
        ("com.microsoft", "SkipLayerNormalization", "optimised by onnxruntime"),
        ("com.microsoft", "MatMulNBits", "is quantised"),
        ("", "DequantizeLinear", "is quantised"),
        ("org.example", "Anything", "that only its maker's runtime knows"),
        ("", "Loop", "of loops"),
    ],
)
def test_operators_that_no_export_has_are_refused(
    domain: str, operator: str, message: str, older: Path, tmp_path: Path
) -> None:
    def add(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node(operator, ["input"], ["unused"], domain=domain))

    with pytest.raises(CheckpointError, match=message):
        load_model(change(older, add, tmp_path / "w.onnx"), device="cpu")
