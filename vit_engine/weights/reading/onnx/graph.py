"""The graph of an ONNX file as nodes that know whom they feed, and the module that each of them is from."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.file import OnnxFile, graphs_of
from vit_engine.weights.reading.onnx.operators import check_operators

if TYPE_CHECKING:
    from onnx import NodeProto

_SCOPES = "pkg.torch.onnx.name_scopes"  # a list of modules, as Python writes it, from the outermost to the operation
_OWN = re.compile(r"[A-Za-z_]\w*(\.\w+)+")  # a parameter of a module within the model
# Parameters of the model itself, which have no dot, as the results of nodes have none.
_TOP_LEVEL = {
    *("cls_token", "dist_token", "reg_token", "register_tokens", "storage_tokens", "mask_token", "pos_embed"),
    *("class_token", "class_embedding", "positional_embedding", "proj", "logit_scale", "logit_bias"),
}
_LONGEST_WAY = 20  # nodes between a tensor and its use, which change nothing of it
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, eq=False)
class Node:
    """An operation. scope: the module that it is from, by its name in PyTorch; empty where nothing says it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scope: str
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)


def is_own(value: str) -> bool:
    """Whether a value has the name of a parameter, and not one that an exporter made."""
    return value in _TOP_LEVEL or bool(_OWN.fullmatch(value))


class Graph:
    """All nodes, those of subgraphs too, and all tensors that the file holds: initializers and constants."""

    def __init__(self, file: OnnxFile) -> None:
        versions = [each.version for each in file.model.opset_import if each.domain in {"", "ai.onnx"}]
        self.opset = max(versions, default=1)
        self.nodes = [_node(each) for graph in graphs_of(file.model.graph) for each in graph.node]
        check_operators(file.model, {node.op for node in self.nodes})
        self.tensors: Mapping[str, Tensor] = file.tensors()
        inputs = [each.type.tensor_type.shape.dim for each in file.model.graph.input]
        self._input_shapes = [tuple(dim.dim_value for dim in dims) for dims in inputs]
        self.producers = {output: node for node in self.nodes for output in node.outputs if output}
        self._check_order()
        self._users: dict[str, list[tuple[Node, int]]] = defaultdict(list)
        for node in self.nodes:
            for place, name in enumerate(node.inputs):
                self._users[name].append((node, place))

    def _check_order(self) -> None:
        """CheckpointError where a value has two makers, or is taken before it is made: nothing may go in circles."""
        made: set[str] = set()
        for node in self.nodes:
            late = [name for name in node.inputs if name in self.producers and name not in made]
            if late or not made.isdisjoint(node.outputs):
                raise CheckpointError(
                    f"its graph is damaged: the node {shorten(node.name)!r} takes or makes a value out of order. "
                    "Export it again."
                )
            made.update(name for name in node.outputs if name)

    def parameters(self) -> dict[str, Tensor]:
        """Tensors that may be weights, by their names in the file: not the numbers and the shapes of its arithmetic."""
        return {
            key: tensor
            for key, tensor in self.tensors.items()
            if is_own(key) or (tensor.numel() > 1 and (tensor.is_floating_point() or tensor.ndim > 1))
            if not self._counts(key, tensor)
        }

    def input_grid(self, patch_size: int) -> tuple[int, int] | None:
        """Patches (rows, cols) of the pictures that it is for; None where it takes any size."""
        for shape in self._input_shapes:
            if len(shape) == 4 and shape[1] == 3 and shape[2] and shape[3]:
                return shape[2] // patch_size, shape[3] // patch_size
        return None

    def _counts(self, key: str, tensor: Tensor) -> bool:
        """Whether a tensor is 0, 1, 2, … and rows are taken by it, in their order: CLIP's numbers of positions."""
        whole = not tensor.is_floating_point() and torch.equal(tensor.flatten(), torch.arange(tensor.numel()))
        return whole and all(node.op == "Gather" and place == 1 for node, place in self.users(key))

    def before(self, nodes: Collection[Node]) -> set[Node]:
        """These nodes, and all that they follow from."""
        left, found = list(nodes), set(nodes)
        while left:
            inputs = (self.producers.get(value) for value in left.pop().inputs)
            new = {node for node in inputs if node is not None} - found
            found |= new
            left += new
        return found

    def users(self, value: str) -> list[tuple[Node, int]]:
        """The nodes that take a value, and at which place."""
        return self._users.get(value, [])

    def consumers(self, node: Node) -> Iterator[Node]:
        """The nodes that take any of its outputs."""
        for output in node.outputs:
            yield from (user for user, _ in self.users(output))

    def tensor_behind(self, value: str, passing: Collection[str] = ("Identity", "Cast")) -> str:
        """The tensor of the file that a value is, through nodes of these operators; empty where it is computed."""
        for _ in range(_LONGEST_WAY):
            node = self.producers.get(value)
            if value in self.tensors or node is None or node.op not in passing or not node.inputs:
                break
            value = node.inputs[0]
        return value if value in self.tensors else ""

    def constant(self, value: str) -> Tensor | None:
        """The tensor that a value is, unchanged; None where it is computed."""
        key = self.tensor_behind(value)
        return self.tensors[key] if key else None


def _node(proto: "NodeProto") -> Node:
    from onnx.helper import get_attribute_value  # noqa: PLC0415  # only where an ONNX file is read

    plain = [each for each in proto.attribute if not each.ref_attr_name and each.type in {1, 2, 3, 6, 7, 8}]
    attributes = {each.name: get_attribute_value(each) for each in plain}
    op = proto.op_type if proto.domain in {"", "ai.onnx"} else f"{proto.domain}.{proto.op_type}"
    return Node(proto.name, op, tuple(proto.input), tuple(proto.output), _scope(proto), attributes)


def _scope(proto: "NodeProto") -> str:
    """As the newer exporter says it in a property, or as the older one has it in the node's name.

    There, '/blocks/blocks.0/attn/qkv/MatMul' is of blocks.0.attn.qkv: a Sequential stands before its parts.
    """
    scopes = next((each.value for each in proto.metadata_props if each.key == _SCOPES), "")
    if scopes:
        modules = _QUOTED.findall(scopes)[:-1]
        return modules[-1] if modules else ""
    parts: list[str] = []
    for part in proto.name.split("/")[1:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)
