"""What an MLP does between its Linears, computed as its graph says, and held to the activations that are known here.

GELU in pieces has the operators of many other functions: only what all of them make together shows it.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vit_engine.errors import CheckpointError
from vit_engine.model.blocks import QuickGelu
from vit_engine.weights.reading.listing import listed, shorten
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses

_KNOWN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "quick_gelu": QuickGelu(),
    "silu": functional.silu,
}
_CLOSE = 5e-4  # of results for numbers to 4: constants may be rounded to half precision
_TRIED = 4096  # numbers, or twice as many as there are channels
_MOST_NODES = 30  # between the Linears of an MLP; a GELU in pieces has eight
_LONGEST_WAY = 20  # nodes from a product to the sum with its bias
_SAME = {"Identity", "Dropout"}
_FLOATS = {1, 10, 11, 16}  # of TensorProto.DataType: single, half, double and bfloat16
_OPERATORS: Mapping[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": lambda x, y: torch.div(x, y, rounding_mode=None if x.is_floating_point() else "floor"),
    "Pow": torch.pow,
    "Sqrt": torch.sqrt,
    "Erf": torch.erf,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
}
_WITH_ATTRIBUTES: Mapping[str, Callable[[Node, Tensor], Tensor]] = {
    "Gelu": lambda node, x: functional.gelu(x, approximate=node.attributes.get("approximate", b"none").decode()),
    "Swish": lambda node, x: x * torch.sigmoid(float(node.attributes.get("alpha", 1.0)) * x),
}


def activation(
    graph: Graph, weights: Sequence[str], biases: Sequence[str], last: Sequence[str], width: int, *, gated: bool
) -> str:
    """The one of an MLP: a kind of spec.MLPS, or "silu"; of a gated one, what its first half goes through.

    weights, biases: of the first Linear, or of a gated MLP's two, gates first; tensors of the file, as is the weight of
    its last one. width: of what the first ones make. CheckpointError for all else.
    """
    inputs = torch.rand(1, max(2, _TRIED // width), width, dtype=torch.float64, generator=_seeded()) * 8 - 4
    of_each = biases if len(biases) == len(weights) else [""] * len(weights)
    linears = [next(use.node for use in uses(graph, key)) for key in weights]
    made = [_with_bias(graph, node, bias) for node, bias in zip(linears, of_each, strict=True)]
    between = _Between(graph, dict(zip(made, inputs.chunk(len(made), dim=-1), strict=True)))
    result = between.value(next(use.node for use in uses(graph, last[0])).inputs[0])
    gates, *others = inputs.chunk(2, dim=-1) if gated else (inputs,)
    values = others[0] if gated else torch.ones_like(gates)
    errors = {name: _error(result, known(gates) * values) for name, known in _KNOWN.items()}
    nearest = min(errors, key=errors.__getitem__)
    if not errors[nearest] <= _CLOSE:
        raise _unknown(between.operators)
    return nearest


def _seeded() -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(0)


def _error(result: Tensor, expected: Tensor) -> float:
    """The largest; infinite where results have another shape, or are no numbers."""
    if result.shape != expected.shape:
        return math.inf
    return float(torch.nan_to_num(result - expected, nan=math.inf).abs().max())


def _unknown(operators: Collection[str]) -> CheckpointError:
    named = listed(sorted(operators)) if operators else "none"
    return CheckpointError(
        f"its MLP has the activation {named}; known here are GELU, QuickGELU and SiLU (gated: of the first half of "
        "what the first Linear makes, times the second)."
    )


def _with_bias(graph: Graph, linear: Node, bias: str) -> str:
    """What a Linear makes, its bias added once."""
    value = linear.outputs[0]
    if not bias or bias in map(graph.tensor_behind, linear.inputs[2:]):
        return value
    for _ in range(_LONGEST_WAY):
        nodes = {node for node, _ in graph.users(value) if node.op != "Shape"}
        if len(nodes) != 1:
            break
        (node,) = nodes
        others = [graph.tensor_behind(each) for each in node.inputs if each != value]
        value = node.outputs[0]
        if node.op == "Add" and others == [bias]:
            return value
        if node.op not in {*_SAME, "Cast"}:
            break
    raise CheckpointError(f"its MLP does not add {shorten(bias)!r} to what its first Linear makes.")


class _Between:
    """Values that follow from what the first Linears make, for numbers in their place."""

    def __init__(self, graph: Graph, values: dict[str, Tensor]) -> None:
        self._graph = graph
        self._values = values
        self.operators: set[str] = set()  # that were met
        self._left = _MOST_NODES

    def value(self, name: str) -> Tensor:
        """CheckpointError where it is made of anything else, or by what is not known here."""
        if name not in self._values:
            constant = self._graph.constant(name)
            self._values[name] = self._made(name) if constant is None else self._scalar(name, constant)
        return self._values[name]

    def _scalar(self, name: str, constant: Tensor) -> Tensor:
        if constant.numel() != 1:
            raise CheckpointError(f"its MLP computes with the tensor {shorten(name)!r} between its Linears.")
        return (constant.double() if constant.is_floating_point() else constant.long()).reshape(())

    def _made(self, name: str) -> Tensor:
        node = self._graph.producers.get(name)
        self._left -= 1
        if node is None or self._left < 0:
            raise _unknown({*self.operators, "more"})
        self.operators.add(node.op)
        if node.op in _OPERATORS:
            return _OPERATORS[node.op](*map(self.value, node.inputs))
        if node.op in _SAME or (node.op == "Cast" and node.attributes.get("to") in _FLOATS):
            return self.value(node.inputs[0])
        if node.op in _WITH_ATTRIBUTES:
            return _WITH_ATTRIBUTES[node.op](node, self.value(node.inputs[0]))
        return self._part(node, name) if node.op in {"Split", "Slice"} else self._side(node)

    def _side(self, node: Node) -> Tensor:
        """Of a shape, which parts of channels are counted by."""
        given = self.value(node.inputs[0]) if node.op in {"Shape", "Gather"} else None
        if given is not None and node.op == "Shape" and not node.attributes:
            return torch.tensor(given.shape)
        if given is not None and node.op == "Gather" and given.ndim == 1:
            return given[self._whole(node, 1)]
        raise _unknown({node.op})

    def _part(self, node: Node, name: str) -> Tensor:
        """Of channels, which are the last axis."""
        given = self.value(node.inputs[0])
        split = node.op == "Split"
        axis, first, end = _split(self._graph, node, name, given) if split else self._slice(node)
        if axis not in {-1, 2} or given.ndim != 3:
            raise CheckpointError(f"its MLP takes parts of other than its channels, at {shorten(node.name)!r}.")
        return given[..., first:end]

    def _slice(self, node: Node) -> tuple[int, int, int]:
        """(axis, first, end), of one axis."""
        first, end, axis, *step = (self._whole(node, place) for place in range(1, len(node.inputs)))
        if step not in ([], [1]):
            raise CheckpointError(f"its MLP takes channels in another order, at {shorten(node.name)!r}.")
        return axis, first, end

    def _whole(self, node: Node, place: int) -> int:
        value = self.value(node.inputs[place])
        if value.ndim or value.is_floating_point():
            raise CheckpointError(f"its MLP takes parts by what is no whole number, at {shorten(node.name)!r}.")
        return int(value)


def _split(graph: Graph, node: Node, name: str, given: Tensor) -> tuple[int, int, int]:
    """(axis, first, end) of one result. Parts are equal where nothing says their sizes."""
    constant = graph.constant(node.inputs[1]) if any(node.inputs[1:]) else None
    sizes = node.attributes.get("split") or ([] if constant is None else constant.flatten().tolist())
    place = node.outputs.index(name)
    sizes = sizes or [given.shape[-1] // len(node.outputs)] * len(node.outputs)
    return node.attributes.get("axis", 0), sum(sizes[:place]), sum(sizes[: place + 1])
