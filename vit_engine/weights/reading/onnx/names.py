"""The names that PyTorch has for the tensors of an ONNX file: own ones, or those of the modules that use them.

Exporters fold a Linear's weight into a constant without a name ('onnx::MatMul_1966', 'val_27'), transposed. What it is
shows in the node that multiplies by it: in the module that the node is from, and in the bias that is added after it.
Tensors that are equal are kept once, and belong to each module that uses them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.graph import Graph, Node, is_own

_SCALES = {"layer_scale1": "lambda1", "layer_scale2": "lambda1", "ls1": "gamma", "ls2": "gamma"}  # by their module
_UNCHANGED = {"Identity", "Cast", "Transpose"}
# What a tensor is to the module that a node is from, by the operation and its place among the inputs.
_PARTS = {
    ("MatMul", 1): "weight",
    ("Gemm", 1): "weight",
    ("Gemm", 2): "bias",
    ("Conv", 1): "weight",
    ("Conv", 2): "bias",
    ("LayerNormalization", 1): "weight",
    ("LayerNormalization", 2): "bias",
    **{("Mul", place): "weight" for place in (0, 1)},  # of a LayerNorm in pieces
    **{("Add", place): "bias" for place in (0, 1)},
}


class Use(NamedTuple):
    """A node that computes with a tensor. value: as it is called there. flipped: transposed on the way to it."""

    node: Node
    place: int
    value: str
    flipped: bool


class Part(NamedTuple):
    """A tensor of PyTorch's state dict: those of the file that it is made of, its name, and how it is made.

    change: None where it is the one tensor as it is.
    """

    keys: tuple[str, ...]
    name: str
    change: Callable[..., Tensor] | None = None


def uses(graph: Graph, tensor: str) -> Iterator[Use]:
    """All of a tensor, through what changes no value of it."""
    left = [(tensor, tensor, False)]
    while left:
        value, called, flipped = left.pop()
        for node, place in graph.users(value):
            if node.op in _UNCHANGED and (place or not node.outputs):
                continue
            if node.op == "Identity":  # in the place of an equal tensor, whose name its output has
                left.append((node.outputs[0], node.outputs[0], flipped))
            elif node.op == "Cast":
                left.append((node.outputs[0], called, flipped))
            elif node.op == "Transpose" and list(node.attributes.get("perm", (1, 0))) == [1, 0]:
                left.append((node.outputs[0], called, not flipped))
            else:
                yield Use(node, place, called, flipped)


def named_parts(graph: Graph, key: str) -> list[Part]:
    """What a tensor is in PyTorch, once or for each module that uses it; nothing where nothing shows it."""
    found = list(uses(graph, key))
    shared = len({use.node.scope for use in found}) > 1
    parts = {part.name: part for use in found if (part := _part(graph, key, use, shared=shared)) is not None}
    return list(parts.values()) or ([Part((key,), key)] if is_own(key) else [])


def _part(graph: Graph, key: str, use: Use, *, shared: bool) -> Part | None:
    """shared: between modules, so that an own name is that of one of them, but for those that aliases have."""
    axes = graph.tensors[key].ndim
    given = use.node.attributes
    if use.node.op == "Gemm" and (given.get("alpha", 1), given.get("beta", 1), given.get("transA", 0)) != (1, 1, 0):
        raise CheckpointError(f"its node {shorten(use.node.name)!r} is no Linear: it scales what it multiplies.")
    own = use.value if is_own(use.value) else ""
    alone = not shared or use.value not in graph.tensors
    name = (alone and own) or _by_bias(graph, use) or _by_module(use, axes) or own
    return Part((key,), name, _transposed if _is_transposed(use, name, axes) else None) if name else None


def _by_module(use: Use, axes: int) -> str:
    """By the module that the node is from, and the place that the tensor has in it."""
    module, op = use.node.scope, use.node.op
    if op in {"Mul", "Add"} and axes != 1:
        return ""
    fused = use.value.rpartition(".")[2] == "in_proj_bias"
    part = "in_proj_bias" if fused else _SCALES.get(module.rpartition(".")[2]) or _PARTS.get((op, use.place))
    return f"{module}.{part}" if module and part else ""


def _by_bias(graph: Graph, use: Use) -> str:
    """A weight's, by the bias that is added after it; empty where there is none that shows it.

    CheckpointError where the bias is of another module than the multiplication.
    """
    if (use.node.op, use.place) != ("MatMul", 1):
        return ""
    sums = [node for node in graph.consumers(use.node) if node.op == "Add"]
    beside = [value for node in sums for value in node.inputs if value not in use.node.outputs and is_own(value)]
    biases = [value for value in beside if value.endswith("bias")]
    if len(biases) != 1:
        return ""
    name = f"{biases[0].removesuffix('bias')}weight"
    if len(graph.users(biases[0])) > 1:  # one of many that are equal
        return f"{use.node.scope}.in_proj_weight" if use.node.scope and name.endswith(".in_proj_weight") else ""
    if use.node.scope and f".{use.node.scope}." not in f".{name}":  # a wrapper's name may not stand before the node's
        raise CheckpointError(
            f"its node {shorten(use.node.name)!r} multiplies by a weight and adds {shorten(biases[0])!r}, which is of "
            "another module: names do not show what its tensors are. Export it again, and leave its graph as it is."
        )
    return name


def _is_transposed(use: Use, name: str, axes: int) -> bool:
    """Whether a Linear's weight, (out, in) in PyTorch, is (in, out) here: as its node multiplies by it.

    A parameter that is no Linear's (CLIP's proj) is multiplied by as it is.
    """
    if use.place != 1 or not name.endswith("weight") or axes != 2:
        return False
    if use.node.op == "MatMul":
        return not use.flipped
    return use.node.op == "Gemm" and use.flipped == bool(use.node.attributes.get("transB", 0))


def _transposed(weight: Tensor) -> Tensor:
    return weight.T
