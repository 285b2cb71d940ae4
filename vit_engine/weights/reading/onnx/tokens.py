"""From the picture to the tokens of the first block: patches in rows, behind the class token and the registers."""

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.blocks import Origins, norm_before
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses
from vit_engine.weights.reading.onnx.scalars import number

_SAME = {"Identity", "Cast", "Dropout"}
_ROWS = ([0, 2, 1], [0, 2, 3, 1], [1, 0, 2])  # of (B, D, N), of (B, D, rows, columns); batch and tokens exchanged
_SPREAD = ("Identity", "Cast", "Expand", "Reshape", "Unsqueeze", "Squeeze", "Tile", "Add")
_MOVED = {*_SAME, "Slice", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Expand"}
_RESAMPLED = {*_MOVED, "Concat", "Gather", "Split", "Resize"}  # what positions pass
_MOST_TOKENS = 2**31 - 1  # the end of a Slice to the last of them, at least
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
    norm = _norm_nodes(graph, origins)
    tokens, prefix, added = set(projection.outputs), list[str](), 0
    for node in graph.nodes:
        if node not in before or node.op == "Shape" or tokens.isdisjoint(node.inputs):
            continue
        if node.op == "Concat":
            prefix = _joined(graph, origins, node, tokens, prefix)
        elif node.op == "Add" and node not in norm:
            added += _adds_positions(graph, origins, node, tokens)
        elif node not in norm:
            _check_moved(graph, node)
        tokens.update(node.outputs)
    if prefix != [name for name in _PREFIX if origins(name)]:
        raise CheckpointError(
            f"its tokens are {', '.join(prefix) or 'no others'} and patches, in another order than here."
        )
    if added != bool(origins("pos_embed")):
        raise CheckpointError(f"its positions should be added to the patches once; they are {added} times.")


def _norm_nodes(graph: Graph, origins: Origins) -> set[Node]:
    """Those of the LayerNorm before the first block, whole or in pieces."""
    nodes: set[Node] = set()
    for use in (use for key in origins("norm_pre.weight") for use in uses(graph, key)):
        for node in (use.node, *graph.consumers(use.node)):
            given, weight, bias = norm_before(graph, node.outputs[0])
            if graph.tensor_behind(weight) in origins("norm_pre.weight") and (
                graph.tensor_behind(bias) in origins("norm_pre.bias")
            ):
                source = graph.producers.get(given)
                nodes |= graph.before({node}) - (graph.before({source}) if source is not None else set())
    return nodes


def _adds_positions(graph: Graph, origins: Origins, node: Node, tokens: set[str]) -> bool:
    """Whether a sum adds positions, or else the projection's bias. CheckpointError where it is any other."""
    others = [value for value in node.inputs if value not in tokens]
    sources = _sources(graph, others[0]) if len(others) == 1 else set()
    if sources and sources <= {*origins("pos_embed")}:
        return True
    if sources and sources <= {*origins("patch_embed.proj.bias")}:
        return False
    raise _changed(node)


def _sources(graph: Graph, value: str) -> set[str]:
    """The tensors that a value is, resampled perhaps; CheckpointError where it is computed of them otherwise."""
    left, sources = [value], set[str]()
    while left:
        value = left.pop()
        node = graph.producers.get(value)
        if value in graph.tensors or node is None:
            sources.add(value)
        elif node.op in _RESAMPLED:
            left += node.inputs if node.op == "Concat" else node.inputs[:1]
        else:
            raise CheckpointError(
                f"its graph changes positions before it adds them ({node.op}, the node {shorten(node.name)!r}), which "
                "a plain Vision Transformer does not."
            )
    return sources


def _check_moved(graph: Graph, node: Node) -> None:
    """CheckpointError for a node that changes tokens, or takes some of them that no others are put between."""
    if node.op not in _MOVED:
        raise _changed(node)
    if node.op == "Transpose" and node.attributes.get("perm") not in _ROWS:
        raise CheckpointError(f"its patches are not taken row by row: {shorten(node.name)!r} turns them otherwise.")
    if node.op == "Slice" and any(user.op not in {"Concat", "Shape"} for user in graph.consumers(node)):
        raise _changed(node)


def _changed(node: Node) -> CheckpointError:
    return CheckpointError(
        f"its graph changes tokens before the first block ({node.op}, the node {shorten(node.name)!r}), which a plain "
        "Vision Transformer does not: it adds positions to them, and normalises them perhaps."
    )


def _joined(graph: Graph, origins: Origins, concat: Node, tokens: set[str], prefix: list[str]) -> list[str]:
    """Names of what stands before the patches, after a node that puts something before or among them."""
    if concat.inputs[-1] not in tokens:
        raise CheckpointError(
            "its class token, or its registers, stand behind the patches; here they stand before them."
        )
    _check_parts(graph, concat, tokens)
    names, put = list[str](), False
    for value in concat.inputs[:-1]:
        if value in tokens:
            names, put = names + prefix, True
            continue
        key = graph.tensor_behind(value, _SPREAD)
        names.append(next((name for name in _PREFIX if key and key in origins(name)), "others"))
    return names if put else names + prefix


def _check_parts(graph: Graph, concat: Node, tokens: set[str]) -> None:
    """CheckpointError unless Slices of tokens that meet here are all of them, in their order."""
    made = [graph.producers.get(value) for value in concat.inputs if value in tokens]
    parts = [node for node in made if node is not None and node.op == "Slice"]
    end: float | None = 0
    for part in parts:
        first, last, *others = (number(graph, value) for value in part.inputs[1:])
        if first != end or others not in ([1], [1, 1]) or part.inputs[0] != parts[0].inputs[0]:
            raise _changed(part)
        end = last
    if parts and (end is None or end < _MOST_TOKENS):
        raise _changed(parts[-1])
