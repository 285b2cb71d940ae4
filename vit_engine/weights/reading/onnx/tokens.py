"""From the picture to the tokens of the first block: patches in rows, behind the class token and the registers."""

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.blocks import Origins
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses

_SAME = {"Identity", "Cast", "Dropout"}
_ROWS = ([0, 2, 1], [0, 2, 3, 1], [1, 0, 2])  # of (B, D, N), of (B, D, rows, columns); batch and tokens exchanged
_SPREAD = ("Identity", "Cast", "Expand", "Reshape", "Unsqueeze", "Squeeze", "Tile", "Add")
_PREFIX = ("cls_token", "dist_token", "register_tokens")  # in their order


def check_tokens(graph: Graph, origins: Origins, first: str) -> None:
    """first: the tokens that the first block is given. CheckpointError unless pictures become them as they should."""
    projections = {use.node for key in origins("patch_embed.proj.weight") for use in uses(graph, key)}
    for projection in projections:
        _check_picture(graph, projection)
        _check_order(graph, origins, projection, first)


def _check_picture(graph: Graph, projection: Node) -> None:
    """CheckpointError where a picture is changed before patches are taken: normalised, or turned, say."""
    value = projection.inputs[0]
    while (node := graph.producers.get(value)) is not None:
        if node.op not in _SAME:
            raise CheckpointError(
                f"its graph changes pictures itself before it takes patches of them ({node.op}, the node "
                f"{shorten(node.name)!r}). Export the model without that step."
            )
        value = node.inputs[0]


def _check_order(graph: Graph, origins: Origins, projection: Node, first: str) -> None:
    made = graph.producers.get(first)
    before = graph.before({made}) if made is not None else set()
    tokens, prefix = set(projection.outputs), list[str]()
    for node in graph.nodes:
        if node not in before or node.op == "Shape" or tokens.isdisjoint(node.inputs):
            continue
        if node.op == "Transpose" and node.attributes.get("perm") not in _ROWS:
            raise CheckpointError(f"its patches are not taken row by row: {shorten(node.name)!r} turns them otherwise.")
        if node.op == "Concat":
            prefix = _joined(graph, origins, node, tokens, prefix)
        tokens.update(node.outputs)
    if prefix != [name for name in _PREFIX if origins(name)]:
        raise CheckpointError(
            f"its tokens are {', '.join(prefix) or 'no others'} and patches, in another order than here."
        )


def _joined(graph: Graph, origins: Origins, concat: Node, tokens: set[str], prefix: list[str]) -> list[str]:
    """Names of what stands before the patches, after a node that puts something before or among them."""
    if concat.inputs[-1] not in tokens:
        raise CheckpointError(
            "its class token, or its registers, stand behind the patches; here they stand before them."
        )
    names, put = list[str](), False
    for value in concat.inputs[:-1]:
        if value in tokens:
            names, put = names + prefix, True
            continue
        key = graph.tensor_behind(value, _SPREAD)
        names.append(next((name for name in _PREFIX if key and key in origins(name)), "others"))
    return names if put else names + prefix
