"""Attention as a graph computes it: found at each Softmax, and followed back to the weights that it is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.onnx.graph import Graph, Node
from vit_engine.weights.reading.onnx.names import uses
from vit_engine.weights.reading.onnx.scalars import factor, number, shape_asked_for

_MOVED = {"Identity", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Dropout"}
_SPREAD = {"Identity", "Cast", "Expand", "Reshape", "Unsqueeze", "Squeeze"}  # which leave zeros what they are
_DEEPEST_MASK = 5  # nodes that choose between others
_LONGEST_PATH = 100  # nodes from a projection to attention; rotary positions take twenty
_NEGATIVE_AXES = 13  # the version of ONNX since which a Softmax is along the last axis where nothing is said
# How sides are turned on the way from a projection to its heads; of (B, N, 3, H, d), and of nn.MultiheadAttention's.
_TURNS = ([0, 2, 1, 3], [1, 0, 2], [2, 0, 3, 1, 4], [3, 1, 2, 0, 4])
_KEYS_TURNS = ([0, 1, 3, 2], [0, 2, 3, 1], [0, 2, 1])  # keys', whose product is along what was last
_THREE = 5  # sides of a projection that is brought into queries, keys and values of heads
_ROTATED = {"Concat", "Neg"}  # by rotary positions
Factor = tuple[str, str]  # Mul or Div, and the value by which


@dataclass
class Path:
    """From a projection's weight to where its result meets another's."""

    weight: str = ""  # the tensor of the file
    projection: Node | None = None  # the node that multiplies by it
    part: int | None = None  # which of the three that it projects to, where it does all of them
    shapes: list[tuple[int | None, ...]] = field(default_factory=list)  # asked for on the way, the last one first
    factors: list[Factor] = field(default_factory=list)
    turns: list[list[int]] = field(default_factory=list)  # of its sides on the way, the last one first
    selections: int = 0  # how often a part of it is taken
    heads: set[str] = field(default_factory=set)  # what it is on the way, its last side that of a head
    rotated: bool = False  # by what is in no weight, as rotary positions do it
    rotations: set[str] = field(default_factory=set)  # tensors of the file that it is multiplied by

    def turn(self, sides: list[int]) -> None:
        self.turns.append(sides)
        if sides in _KEYS_TURNS:  # the last side was another's until here
            self.heads.clear()

    def is_plain(self, *, fused: bool, keys: bool = False) -> bool:
        """Whether it is brought into heads as (H, d), or all three as (3, H, d), all tokens in their order."""
        turned = [turn for turn in self.turns if turn not in _TURNS]
        three = [shape for shape in self.shapes if len(shape) == _THREE]
        return (
            (not turned or (keys and len(turned) == 1 and turned[0] in _KEYS_TURNS))
            and (self.rotated or self.selections == fused)
            and all(shape[2] == 3 and fused for shape in three)
        )

    def head_dim(self, dim: int) -> int | None:
        """The last side of what queries are at last brought into, which their products with keys are summed over.

        None where the graph does not show it as a constant.
        """
        *_, heads, last = (None, None, *(self.shapes[0] if self.shapes else ()))
        if last is None or not (heads or last > 0):
            return None
        width = last if last > 0 else dim // heads if heads and heads > 0 and dim % heads == 0 else 0
        return width if width and dim % width == 0 else None


@dataclass(frozen=True)
class Attention:
    """One layer's, and what it does to its scores: factors, and tensors that are added."""

    queries: Path
    keys: Path
    values: Path
    factors: tuple[Factor, ...]
    masks: tuple[str, ...]
    mixed: str  # values by their weights, heads not yet joined
    scaled: float | None = 1.0  # by the operator itself; None where it does so by the root of a head's width

    def scale(self, graph: Graph, head_dim: int) -> float | None:
        """By which scores are multiplied; None where it cannot be read from the graph."""
        scale = head_dim**-0.5 if self.scaled is None else self.scaled
        for op, value in (*self.queries.factors, *self.keys.factors, *self.factors):
            by = factor(graph, value, head_dim, self.queries.heads | self.keys.heads)
            if not by:
                return None
            scale = scale * by if op == "Mul" else scale / by
        return scale


class Tracer:
    """Follows a graph back from its Softmaxes."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._seen: dict[str, tuple[bool, bool]] = {}
        self._weights = {
            use.node: key
            for key, tensor in graph.tensors.items()
            if tensor.ndim == 2
            for use in uses(graph, key)
            if use.place == 1 and use.node.op in {"MatMul", "Gemm"}
        }

    def all_attention(self) -> Iterator[Attention | CheckpointError]:
        """Of each Softmax between two products; or why it cannot be followed."""
        for node in self._graph.nodes:
            if node.op == "Softmax":
                try:
                    attention = self._attention(node)
                except CheckpointError as error:
                    yield error
                else:
                    if attention is not None:
                        yield attention
            elif node.op == "Attention":
                yield self._whole(node)

    def _attention(self, softmax: Node) -> Attention | None:
        """None for a Softmax that is of no attention: of classes, say."""
        product = self._weighted_sum(softmax)
        if product is None:
            return None
        scores, factors, masks = self._scores(softmax)
        if softmax.attributes.get("axis", -1 if self._graph.opset >= _NEGATIVE_AXES else 1) not in {-1, 2, 3}:
            raise _unusual(softmax, "is not along the keys")
        queries, keys = (self._path(value) for value in scores.inputs)
        values = self._path(product.inputs[1])
        return Attention(queries, keys, values, tuple(factors), tuple(masks), product.outputs[0])

    def _weighted_sum(self, softmax: Node) -> Node | None:
        """The product of attention weights with values."""
        left, seen = list(self._graph.consumers(softmax)), {softmax}
        while left:
            node = left.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.op == "MatMul":
                return node
            if node.op in {"Cast", "Identity", "Dropout", "Where"}:
                left += self._graph.consumers(node)
        return None

    def _scores(self, softmax: Node) -> tuple[Node, list[Factor], list[str]]:
        """The product of queries with keys, and what is done to it before the Softmax."""
        factors: list[Factor] = []
        masks: list[str] = []
        value = softmax.inputs[0]
        for _ in range(_LONGEST_PATH):
            node = self._graph.producers.get(value)
            if node is None or node.op == "MatMul":
                break
            if node.op in {"Cast", "Identity"}:
                value = node.inputs[0]
            elif node.op in {"Mul", "Div"} and (scaled := self._scaled(node)):
                value, by = scaled
                factors.append((node.op, by))
            elif node.op == "Add" and (zeros := [each for each in node.inputs if self._zeros(each)]):
                masks += self._zeros(zeros[0])
                value = next(each for each in node.inputs if each != zeros[0])
            else:
                raise _unusual(softmax, f"has scores that are changed by {node.op}")
        if node is None or node.op != "MatMul":
            raise _unusual(softmax, "is of no product of queries and keys")
        return node, factors, masks

    def _zeros(self, value: str, depth: int = 0) -> set[str]:
        """The tensors of the file that a mask of nothing but zeros is made of; none where it is anything else."""
        key = self._graph.tensor_behind(value, _SPREAD)
        if key:
            return set() if self._filled(key)[0] else {key}
        node = self._graph.producers.get(value)
        if node is None or depth > _DEEPEST_MASK:
            return set()
        if node.op in _SPREAD:
            return self._zeros(node.inputs[0], depth + 1)
        condition = self._graph.tensor_behind(node.inputs[0], _SPREAD) if node.op == "Where" else ""
        if not condition:
            return set()
        some, every = self._filled(condition)
        chosen = node.inputs[1] if every else "" if some else node.inputs[2]
        zeros = self._zeros(chosen, depth + 1) if chosen else set()
        return {condition, *zeros} if zeros else set()

    def _filled(self, key: str) -> tuple[bool, bool]:
        """Whether any, and whether all values of a tensor are other than zero; looked at once."""
        if key not in self._seen:
            values = self._graph.tensors[key].bool()
            self._seen[key] = bool(values.any()), bool(values.all())
        return self._seen[key]

    def _whole(self, node: Node) -> Attention | CheckpointError:
        """Of the operator that does all of it, since ONNX 23."""
        attributes = node.attributes
        if any(node.inputs[3:]) or attributes.get("is_causal") or attributes.get("softcap"):
            return _unusual(node, "has a mask, or caps its scores")
        try:
            queries, keys, values = (self._path(value) for value in node.inputs[:3])
        except CheckpointError as error:
            return error
        if heads := attributes.get("q_num_heads"):
            queries.shapes.insert(0, (heads, -1))
        return Attention(queries, keys, values, (), (), node.outputs[0], scaled=attributes.get("scale"))

    def _path(self, value: str) -> Path:
        """CheckpointError where a value is not a projection, brought into heads."""
        path = Path()
        for _ in range(_LONGEST_PATH):
            node = self._graph.producers.get(value)
            if node is None:
                break
            if node in self._weights:
                path.weight, path.projection = self._weights[node], node
                return path
            if not path.shapes:
                path.heads.add(value)
            following = self._step(node, value, path)
            if not following:
                raise _unusual(node, f"({node.op}) stands between a projection and the attention that it is for")
            value = following
        raise CheckpointError("it has attention whose queries, keys or values are of no projection.")

    def _step(self, node: Node, value: str, path: Path) -> str:
        """One node back; empty where it is none that attention has."""
        if node.op in {"Mul", "Div"}:
            return self._product(node, path)
        if node.op == "Add":
            return self._sum(node, path)
        if node.op == "Reshape":
            path.shapes.append(shape_asked_for(self._graph, node))
        elif node.op == "Transpose":
            path.turn(node.attributes.get("perm", []))
        elif node.op in {"Split", "Gather", "Slice"}:
            path.selections += 1
            path.part = self._index(node, value)
        elif node.op in _ROTATED:
            path.rotated = True
        elif node.op not in _MOVED:
            return ""
        return node.inputs[-1] if node.op == "Concat" else node.inputs[0]

    def _product(self, node: Node, path: Path) -> str:
        if scaled := self._scaled(node):
            path.factors.append((node.op, scaled[1]))
            return scaled[0]
        path.rotated = True
        keys = [key for each in node.inputs if (key := self._graph.tensor_behind(each))]
        path.rotations.update(keys)
        return next((each for each in node.inputs if not self._graph.tensor_behind(each)), "")

    def _sum(self, node: Node, path: Path) -> str:
        constants = [each for each in node.inputs if self._graph.tensor_behind(each)]
        if len(constants) == 1 and self._graph.tensors[self._graph.tensor_behind(constants[0])].ndim == 1:
            return next(each for each in node.inputs if each != constants[0])
        path.rotated = True
        for each in node.inputs:
            product = self._graph.producers.get(each)
            inputs = product.inputs if product is not None and product.op == "Mul" else ()
            path.rotations.update(key for value in inputs if (key := self._graph.tensor_behind(value)))
        return node.inputs[0]

    def _scaled(self, node: Node) -> tuple[str, str] | None:
        """(value, factor) of a product with a number; None of one with anything else."""
        left, right = node.inputs
        if factor(self._graph, right, 1, None) is not None:
            return left, right
        if node.op == "Mul" and factor(self._graph, left, 1, None) is not None:
            return right, left
        return None

    def _index(self, node: Node, value: str) -> int | None:
        if node.op == "Split":
            return node.outputs.index(value)
        first = number(self._graph, node.inputs[1])
        if node.op == "Gather" or first is None:
            return None if first is None else int(first)
        last = number(self._graph, node.inputs[2])
        length = int(last - first) if last is not None else 0
        return int(first) // length if length > 0 else None


def _unusual(node: Node, what: str) -> CheckpointError:
    return CheckpointError(
        f"its attention is not a plain Vision Transformer's: the node {shorten(node.name or node.op)!r} {what}."
    )
