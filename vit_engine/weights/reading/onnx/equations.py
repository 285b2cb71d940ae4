"""What a graph computes and no tensor shows: the eps of a LayerNorm, and where patches are taken."""

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed, shorten
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses
from vit_engine.weights.reading.onnx.scalars import number


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
