"""Small numbers of a graph: shapes that are asked for, and factors, as constants or computed of them."""

import math
from collections.abc import Collection

from vit_engine.weights.reading.onnx.graph import Graph, Node

_SAME_NUMBERS = ("Identity", "Cast", "Unsqueeze")
_DEEPEST = 10  # nodes between a factor and its constants


def shape_asked_for(graph: Graph, reshape: Node) -> tuple[int | None, ...]:
    """Sides of a Reshape's result; None for one or several that are computed, -1 for one that the others leave."""
    value = reshape.inputs[1]
    constant = graph.constant(value)
    if constant is not None:
        return tuple(int(side) for side in constant.flatten().tolist())
    node = graph.producers.get(value)
    if node is None or node.op != "Concat":
        return ()
    sides: list[int | None] = []
    for part in node.inputs:
        key = graph.tensor_behind(part, _SAME_NUMBERS)
        sides += [int(side) for side in graph.tensors[key].flatten().tolist()] if key else [None]
    return tuple(sides)


def number(graph: Graph, value: str) -> float | None:
    """A constant of one value; None for all else."""
    constant = graph.constant(value)
    return float(constant) if constant is not None and constant.numel() == 1 else None


def factor(graph: Graph, value: str, last_side: int, of: Collection[str] | None, depth: int = 0) -> float | None:
    """A number that is computed of constants and of the last side of some values; None where it is of anything else.

    of: these values; None for any.
    """
    known = number(graph, value)
    node = graph.producers.get(value)
    if known is not None or node is None or depth > _DEEPEST:
        return known
    if _is_last_side(graph, node, of):
        return float(last_side)
    if node.op in {"Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape"}:
        return factor(graph, node.inputs[0], last_side, of, depth + 1)
    if node.op in {"Sqrt", "Reciprocal"}:
        inner = factor(graph, node.inputs[0], last_side, of, depth + 1)
        return None if inner is None or inner <= 0 else math.sqrt(inner) if node.op == "Sqrt" else 1 / inner
    if node.op in {"Mul", "Div", "Pow"}:
        left, right = (factor(graph, each, last_side, of, depth + 1) for each in node.inputs)
        return _combined(node.op, left, right)
    return None


def _combined(op: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or left <= 0 or not -4 <= right <= 1e9 or (op == "Div" and not right):
        return None
    return left * right if op == "Mul" else left / right if op == "Div" else left ** min(right, 4)


def _is_last_side(graph: Graph, node: Node, of: Collection[str] | None) -> bool:
    """Whether a node takes the last side of these values' shape: Slice from -1, or Gather of -1."""
    shape = graph.producers.get(node.inputs[0]) if node.inputs else None
    if node.op not in {"Slice", "Gather"} or shape is None or shape.op != "Shape":
        return False
    if of is not None and shape.inputs[0] not in of:
        return False
    return number(graph, node.inputs[1]) == -1
