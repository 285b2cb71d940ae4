"""The way of tokens through a graph: the blocks of a Vision Transformer, one after another, and nothing between them.

Blocks with norms behind the sums, in parallel or in another order, and attention within windows or of some of the
tokens, have tensors of the same names and shapes. They show only in what a graph computes from what.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.attention import Attention
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses

_LINEARS = {"MatMul", "Gemm"}
_SAME = {"Identity", "Cast", "Dropout"}  # values stay what they are
_MOVED = {*_SAME, "Reshape", "Transpose", "Squeeze", "Unsqueeze"}  # and these change no order of a token's values
_BATCH_SECOND = [1, 0, 2]  # as nn.MultiheadAttention has it: (N, B, D)
_JOINED = ([0, 2, 1, 3], [2, 0, 1, 3])  # heads to the side of their values
_LONGEST_WAY = 20  # nodes from a product to the next
Origins = Callable[[str], Sequence[str]]  # the tensors of the file that a tensor of the model is made of


def check_blocks(graph: Graph, origins: Origins, layers: Mapping[int, Attention]) -> str:
    """The tokens that the first block is given. CheckpointError unless all are blocks with norms before their parts."""
    blocks = _Blocks(graph, origins)
    first = tokens = ""
    for layer, attention in layers.items():
        given, tokens = blocks.follow(layer, attention, tokens)
        first = first or given
    norms = blocks.nodes("norm.weight")
    if norms and tokens not in {value for node in graph.before(norms) for value in node.inputs}:
        raise CheckpointError("its last norm is of other tokens than those of the last block.")
    return first


class _Blocks:
    def __init__(self, graph: Graph, origins: Origins) -> None:
        self._graph = graph
        self._origins = origins

    def nodes(self, name: str) -> set[Node]:
        """Those that compute with a tensor of the model."""
        return {use.node for key in self._origins(name) for use in uses(self._graph, key)}

    def follow(self, layer: int, attention: Attention, tokens: str) -> tuple[str, str]:
        """A block's tokens before and after it. tokens: those of the block before it; empty for the first."""
        block = f"blocks.{layer}"
        projections = [path.projection for path in (attention.queries, attention.keys, attention.values)]
        tokens = self._normalised(projections, f"{block}.norm1", tokens)
        after = self._added(self._joined(attention, block), f"{block}.attn.proj", f"{block}.ls1.gamma", tokens)
        first, last = ("w12", "w3") if self._origins(f"{block}.mlp.w12.weight") else ("fc1", "fc2")
        linears = self.nodes(f"{block}.mlp.{first}.weight")
        self._normalised(linears, f"{block}.norm2", after)
        (node,) = self.nodes(f"{block}.mlp.{last}.weight") or (None,)
        if node is None or set(self._linears_before(node)) != linears:
            raise CheckpointError(f"the last Linear of the MLP of layer {layer} is not given what the first one makes.")
        return tokens, self._added(node, f"{block}.mlp.{last}", f"{block}.ls2.gamma", after)

    def _normalised(self, linears: Collection[Node | None], norm: str, tokens: str) -> str:
        """The tokens that these Linears are given through a norm, which must be the ones asked for."""
        weights, biases = self._origins(f"{norm}.weight"), self._origins(f"{norm}.bias")
        for node in linears:
            value = self._plain(node.inputs[0], turning=True) if node is not None else ""
            given, *affine = norm_before(self._graph, value)
            keys = [self._graph.tensor_behind(each) for each in affine]
            if not given or keys[0] not in weights or keys[1] not in biases:
                raise CheckpointError(f"{norm} does not stand right before the Linears that it is for.")
            given = self._plain(given)
            if tokens and given != tokens:
                raise CheckpointError(f"{norm} is given other tokens than the sum before it makes.")
            tokens = given
        return tokens

    def _joined(self, attention: Attention, block: str) -> Node:
        """The Linear after attention, which is given the heads side by side."""
        value, turns = attention.mixed, []
        for _ in range(_LONGEST_WAY):
            node = self._follower(value)
            if node.op not in _MOVED:
                break
            turns += [node.attributes.get("perm")] if node.op == "Transpose" else []
            value = node.outputs[0]
        whole = attention.scaled != 1 and not turns  # the operator may join heads itself
        if node not in self.nodes(f"{block}.attn.proj.weight") or not (
            whole or (len(turns) == 1 and turns[0] in _JOINED)
        ):
            raise CheckpointError(f"{block}.attn.proj is not given the heads of its attention side by side.")
        return node

    def _added(self, linear: Node, name: str, scale: str, tokens: str) -> str:
        """The sum of tokens and of what a Linear makes, scaled where the model does."""
        left = {"Add": self._origins(f"{name}.bias"), "Mul": self._origins(scale)}
        value = linear.outputs[0]
        for _ in range(_LONGEST_WAY):
            node = self._follower(value)
            others = [each for each in node.inputs if each != value]
            key = self._graph.tensor_behind(others[0]) if node.op in left and others else ""
            if key and key in left[node.op]:
                left = {"Add": (), "Mul": left["Mul"] if node.op == "Add" else ()}
            elif node.op == "Add" and [self._plain(each) for each in others] == [tokens]:
                return node.outputs[0]
            elif node.op not in _MOVED:
                break
            value = node.outputs[0]
        raise CheckpointError(
            f"what {name} makes is not added to the tokens before it, but goes to {shorten(node.name)!r} ({node.op})."
        )

    def _follower(self, value: str) -> Node:
        """The one node that computes with a value."""
        nodes = {node for node, _ in self._graph.users(value) if node.op != "Shape"}
        if len(nodes) != 1:
            raise CheckpointError(f"{shorten(value)!r} should be used once within its block; it is {len(nodes)} times.")
        return nodes.pop()

    def _plain(self, value: str, *, turning: bool = False) -> str:
        """What a value was before nodes that change nothing. turning: nor which of batch and tokens is first."""
        for _ in range(_LONGEST_WAY):
            node = self._graph.producers.get(value)
            turned = turning and node is not None and node.attributes.get("perm") == _BATCH_SECOND
            if node is None or not (node.op in _SAME or turned):
                break
            value = node.inputs[0]
        return value

    def _linears_before(self, linear: Node) -> Iterator[Node]:
        """The nearest products that a Linear's input is made of."""
        left = [linear.inputs[0]]
        seen: set[Node] = set()
        while left and len(seen) < _LONGEST_WAY:
            node = self._graph.producers.get(left.pop())
            if node is None or node in seen:
                continue
            seen.add(node)
            if node.op in _LINEARS:
                yield node
            else:
                left += node.inputs


def norm_before(graph: Graph, value: str) -> tuple[str, str, str]:
    """(what is normalised, its weight, its bias) of the LayerNorm that a value is made by; empty where it is none."""
    node = graph.producers.get(value)
    if node is None:
        return "", "", ""
    if node.op == "LayerNormalization":
        weight, bias = (*node.inputs[1:3], "", "")[:2]
        return node.inputs[0], weight, bias
    product = next(
        (each for each in map(graph.producers.get, node.inputs) if each is not None and each.op == "Mul"), None
    )
    if node.op != "Add" or product is None:
        return "", "", ""
    bias = next((each for each in node.inputs if each not in product.outputs), "")
    for weight, other in (product.inputs, product.inputs[::-1]):
        quotient = graph.producers.get(other)
        centred = graph.producers.get(quotient.inputs[0]) if quotient is not None and quotient.op == "Div" else None
        if centred is not None and centred.op == "Sub":
            return centred.inputs[0], weight, bias
    return "", "", ""
