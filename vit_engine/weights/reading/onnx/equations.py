"""What a graph computes and no tensor shows: the eps of a LayerNorm, and the activation of an MLP."""

from collections.abc import Iterator

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed, shorten
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses
from vit_engine.weights.reading.onnx.scalars import number

_MOST_NODES = 30  # between the two Linears of an MLP; a GELU in pieces has eight
_QUICK = 1.702
_CLOSE = 1e-2  # of constants; half precision rounds them
_UNKNOWN = ("Relu", "LeakyRelu", "Elu", "Celu", "Selu", "HardSwish", "HardSigmoid", "Softplus", "Mish", "Sin")


def check_patches(graph: Graph, key: str) -> None:
    """CheckpointError unless patches lie side by side: what overlaps has the same weights, and another grid."""
    sides = list(graph.tensors[key].shape[2:])
    for given in (use.node.attributes for use in uses(graph, key) if use.node.op == "Conv"):
        plain = given.get("auto_pad", b"NOTSET") in {b"NOTSET", b"VALID"} and not any(given.get("pads", ()))
        if given.get("strides") != sides or not plain or set(given.get("dilations", [1])) != {1}:
            raise CheckpointError(
                f"its patches of {'×'.join(map(str, sides))} px are not side by side: they are taken at strides of "
                f"{listed(given.get('strides', [1]))}, padded by {listed(given.get('pads', [0]))}. Pass a plain ViT."
            )


def norm_eps(graph: Graph, key: str) -> set[float]:
    """Of every LayerNorm that has this weight. CheckpointError where a node is none."""
    return {_eps(graph, use.node) for use in uses(graph, key)}


def _eps(graph: Graph, node: Node) -> float:
    if node.op == "LayerNormalization":
        if node.attributes.get("axis", -1) not in {-1, 2}:
            raise CheckpointError(f"its node {shorten(node.name)!r} normalises other axes than the last.")
        return float(node.attributes.get("epsilon", 1e-5))
    found = [eps for value in node.inputs if (eps := _eps_in_pieces(graph, value)) is not None]
    if node.op != "Mul" or len(found) != 1:
        raise CheckpointError(f"its node {shorten(node.name)!r} ({node.op}) has a LayerNorm's weight and is none.")
    return found[0]


def _eps_in_pieces(graph: Graph, value: str) -> float | None:
    """Of (x - mean) / sqrt(variance + eps), as exporters before ONNX 17 write it."""
    quotient = graph.producers.get(value)
    if quotient is None or quotient.op != "Div":
        return None
    root = graph.producers.get(quotient.inputs[1])
    total = graph.producers.get(root.inputs[0]) if root is not None and root.op == "Sqrt" else None
    if total is None or total.op != "Add":
        return None
    found = [eps for each in total.inputs if (eps := number(graph, each)) is not None]
    return found[0] if len(found) == 1 else None


def activation(graph: Graph, key: str) -> str:
    """What follows the Linear of this weight, by the names of spec.MLPS, or "silu". CheckpointError for another."""
    kinds = {_activation(graph, use.node) for use in uses(graph, key)}
    if len(kinds) != 1:
        raise CheckpointError(f"the weight {shorten(key)!r} is used with several activations: {sorted(kinds)}.")
    return kinds.pop()


def _activation(graph: Graph, linear: Node) -> str:
    """The one that is computed before the next Linear."""
    for node in _before_the_next(graph, linear):
        if node.op in {"Gelu", "com.microsoft.Gelu"}:
            smooth = node.attributes.get("approximate", b"none") == b"tanh"
            return "gelu_tanh" if smooth else "gelu"
        if node.op in {"Erf", "Tanh"}:
            return "gelu" if node.op == "Erf" else "gelu_tanh"
        if node.op in {"Swish", "Sigmoid"}:
            return _swish(graph, node)
        if node.op in _UNKNOWN:
            raise CheckpointError(f"its MLP has the activation {node.op}; known here are GELU, QuickGELU and SiLU.")
    raise CheckpointError(
        f"its node {shorten(linear.name)!r} is the first Linear of an MLP, and no activation follows."
    )


def _swish(graph: Graph, node: Node) -> str:
    """x · sigmoid(factor · x): QuickGELU or SiLU, by the factor."""
    slope = float(node.attributes.get("alpha", 1.0)) if node.op == "Swish" else 1.0
    before = graph.producers.get(node.inputs[0])
    if node.op == "Sigmoid" and before is not None and before.op == "Mul":
        slope = next((by for each in before.inputs if (by := number(graph, each)) is not None), slope)
    if abs(slope - 1) < _CLOSE:
        return "silu"
    if abs(slope - _QUICK) < _CLOSE:
        return "quick_gelu"
    raise CheckpointError(f"its MLP has the activation x · sigmoid({slope:g} x); known here are 1.702 and 1.")


def _before_the_next(graph: Graph, linear: Node) -> Iterator[Node]:
    """Nodes that follow from a Linear, up to the next one, in the graph's order of breadth."""
    left = list(graph.consumers(linear))
    seen: set[Node] = set()
    while left and len(seen) < _MOST_NODES:
        node = left.pop(0)
        if node in seen or node.op in {"MatMul", "Gemm"}:
            continue
        seen.add(node)
        yield node
        left += graph.consumers(node)
