"""Class tokens, registers and positions that an exporter left without a name: what they are shows in the graph.

From the patch projection, tokens pass a few nodes before the first block: one that puts constants before the patches,
and one that adds positions to them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vit_engine.weights.reading.onnx.graph import Graph, Node, is_own
from vit_engine.weights.reading.onnx.names import Part


class _Layout(NamedTuple):
    """Names of one library's embedding; empty for what its models do not have."""

    projection: str  # of patches, the end of its name
    cls: str
    distillation: str
    registers: str
    positions: str
    flat: bool = False  # the class token is (D,) and positions (N, D)


def _hugging_face(projection: str) -> _Layout:
    return _Layout(
        projection,
        "embeddings.cls_token",
        "embeddings.distillation_token",
        "embeddings.register_tokens",
        "embeddings.position_embeddings",
    )


_LAYOUTS = (
    _Layout("patch_embed.proj.weight", "cls_token", "dist_token", "reg_token", "pos_embed"),
    _Layout("conv_proj.weight", "class_token", "", "", "encoder.pos_embedding"),
    _Layout(
        "embeddings.patch_embedding.weight",
        "embeddings.class_embedding",
        "",
        "",
        "embeddings.position_embedding.weight",
        flat=True,
    ),
    _Layout("conv1.weight", "class_embedding", "", "", "positional_embedding", flat=True),
    _hugging_face("embeddings.patch_embeddings.projection.weight"),
    _hugging_face("embeddings.patch_embeddings.weight"),
)
_PASSED = {"Reshape", "Flatten", "Transpose", "Cast", "Identity", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather"}
_RESAMPLED = {"Reshape", "Transpose", "Cast", "Identity", "Resize", "Unsqueeze", "Squeeze", "Expand"}


def embedding_parts(graph: Graph) -> Iterator[Part]:
    """What tokens and positions without names are made of, and their names; none where all have names."""
    for node in graph.nodes:
        if node.op == "Conv" and node.inputs[1] in graph.tensors:
            for layout in _LAYOUTS:
                if node.inputs[1].endswith(layout.projection):
                    prefix = node.inputs[1].removesuffix(layout.projection)
                    yield from _parts(graph, node, layout, prefix)
                    return


def _parts(graph: Graph, projection: Node, layout: _Layout, prefix: str) -> Iterator[Part]:
    """Nodes in the graph's order, as far as tokens pass them."""
    tokens, before = set(projection.outputs), 0
    for node in graph.nodes:
        if tokens.isdisjoint(node.inputs):
            continue
        others = [value for value in node.inputs if value not in tokens]
        if node.op == "Concat":
            yield from _tokens(graph, others, layout, prefix, before)
            before += len(others)
        elif node.op == "Add" and len(others) == 1 and (keys := _positions(graph, others[0])):
            if not any(map(is_own, keys)):
                yield Part(keys, prefix + layout.positions, _joined_flat if layout.flat else _joined)
        elif node.op not in _PASSED:
            continue
        tokens.update(node.outputs)


def _tokens(graph: Graph, values: Sequence[str], layout: _Layout, prefix: str, before: int) -> Iterator[Part]:
    """Those without a name among what is put before the patches. before: how many are there already."""
    for number, value in enumerate(values, before):
        source = _source(graph, value)
        if source and not is_own(source):
            yield _token(graph, source, layout, prefix, first=number == 0)


def _token(graph: Graph, source: str, layout: _Layout, prefix: str, *, first: bool) -> Part:
    """The first is the class token; of the others, several are registers, and one is where the layout has it."""
    if first:
        return Part((source,), prefix + layout.cls, _flat if layout.flat else None)
    scaled = any("layer_scale1" in name or ".ls1." in name for name in graph.tensors)
    several = graph.tensors[source].shape[1] > 1 or scaled or not layout.distillation
    return Part((source,), prefix + (layout.registers if several else layout.distillation), None)


def _positions(graph: Graph, value: str) -> tuple[str, ...]:
    """The tensors that added positions are: all of them, or those of the class token and of the patches."""
    node = graph.producers.get(value)
    if node is not None and node.op == "Concat":
        parts = [_source(graph, each) for each in node.inputs]
        return tuple(part for part in parts if part) if all(parts) else ()
    source = _source(graph, value)
    return (source,) if source else ()


def _source(graph: Graph, value: str) -> str:
    """The tensor that a value is, resampled or repeated perhaps; empty where it is computed of something else."""
    return graph.tensor_behind(value, _RESAMPLED)


def _flat(token: Tensor) -> Tensor:
    return token.flatten()


def _joined(*rows: Tensor) -> Tensor:
    return torch.cat(rows, dim=1)


def _joined_flat(*rows: Tensor) -> Tensor:
    return torch.cat(rows, dim=-2).flatten(0, -2)
