"""What the graph of an ONNX file says of a Vision Transformer: the names of its tensors, its equations, its heads."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from vit_engine.errors import CheckpointError
from vit_engine.model.positions import patch_rotation, rope_periods
from vit_engine.spec import GATED_MLPS
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Metadata
from vit_engine.weights.reading.onnx.activation import activation
from vit_engine.weights.reading.onnx.attention import Attention, Tracer
from vit_engine.weights.reading.onnx.blocks import check_blocks
from vit_engine.weights.reading.onnx.embedding import embedding_parts
from vit_engine.weights.reading.onnx.equations import check_patches, norm_eps
from vit_engine.weights.reading.onnx.graph import Graph, is_own
from vit_engine.weights.reading.onnx.names import Part, named_parts, uses
from vit_engine.weights.reading.onnx.tokens import check_tokens

WHY_BEHIND = "of what the graph computes from the model's tokens, and not of the model"
ASSUMED_POSITIONS = (
    "Its positions are those of the size that it was exported for: the exporter has folded them into one constant, "
    "perhaps after resampling."
)
WHY_ROTATION = "cosines or sines of rotary positions, which are computed for every size"
WHY_PLACES = "places of patches, of which rotary positions are computed for every size"
WHY_MASK = "of a mask that hides nothing"
# The names that tensors have when they are converted.
_OURS = re.compile(
    r"cls_token|dist_token|register_tokens|pos_embed|rope_periods|patch_embed\..*|norm_pre\..*|blocks\..*|norm\..*"
    r"|head(_dist)?\..*"
)
_CLOSE = 1e-2  # of a factor, relatively: half precision rounds it
_GATED = {"silu": "swiglu", "gelu": "geglu"}


def name_tensors(conversion: Conversion, graph: Graph) -> None:
    """Tensors of the file become those of PyTorch's state dict; what shows no name keeps its own."""
    parts = list(embedding_parts(graph))
    taken = {key for part in parts for key in part.keys}
    for key in conversion.tensors:
        found = [] if key in taken else named_parts(graph, key)
        parts += [] if found == [Part((key,), key)] else found  # it has its name
    conversion.replace(parts)


def drop_others(conversion: Conversion, graph: Graph, attention: Collection[Attention]) -> None:
    """Tensors that are not of the model, as the graph shows: a decoder's, behind it, and masks of zeros."""
    masks = {mask for each in attention for mask in each.masks}
    ours = [key for name in conversion.tensors if _OURS.fullmatch(name) for key in conversion.origins(name)]
    model = graph.before({use.node for key in ours for use in uses(graph, key)})
    for name in [name for name in conversion.tensors if not _OURS.fullmatch(name)]:
        keys = conversion.origins(name)
        if masks.issuperset(keys):
            conversion.drop(re.escape(name), WHY_MASK)
        elif model.isdisjoint(use.node for key in keys for use in uses(graph, key)):
            conversion.drop(re.escape(name), WHY_BEHIND)


def settle(metadata: Metadata, conversion: Conversion, graph: Graph, *, configured: bool) -> Metadata:
    """What the graph computes takes the place of what a format assumes.

    configured: whether a configuration says it, which must not contradict the graph then: CheckpointError.
    """
    for key in conversion.origins("patch_embed.proj.weight"):
        check_patches(graph, key)
    found = list(Tracer(graph).all_attention())
    attention = [each for each in found if isinstance(each, Attention)]
    problems = [each for each in found if isinstance(each, CheckpointError)]
    layers = {layer: _attention_of(layer, conversion, attention, problems) for layer in conversion.layers()}
    check_tokens(graph, conversion.origins, check_blocks(graph, conversion.origins, layers))
    drop_others(conversion, graph, layers.values())
    heads = _heads(layers, conversion, graph, metadata)
    assumed = metadata.assumed
    if metadata.rope_base is not None and not _drop_rotations(conversion, graph, layers.values(), metadata, heads):
        assumed += () if configured else (f"Rotary positions have base {metadata.rope_base:g}.",)
    positions = conversion.origins("pos_embed")
    if len(positions) == 1 and not is_own(positions[0]):
        assumed += (ASSUMED_POSITIONS,)
    shown = replace(metadata, norm_eps=_eps(conversion, graph), mlp=_mlp(conversion, graph), assumed=assumed)
    if configured:
        _check_agreement(metadata, shown)
    if metadata.heads is not None and heads not in {None, metadata.heads}:
        raise CheckpointError(f"its graph has {heads} heads, and {metadata.heads} are said by {metadata.heads_from}.")
    if metadata.heads is not None or heads is None:
        return shown
    width = conversion["cls_token"].shape[-1] // heads
    return replace(shown, heads=heads, heads_from=f"the graph's reshape to {heads} heads of {width}")


def _attention_of(
    layer: int, conversion: Conversion, attention: Collection[Attention], problems: Collection[CheckpointError]
) -> Attention:
    """The attention of a layer, which is made of its weights alone. CheckpointError where the graph has none."""
    keys = conversion.origins(f"blocks.{layer}.attn.qkv.weight")
    expected = list(keys) * 3 if len(keys) == 1 else list(keys)
    for each in attention:
        paths = (each.queries, each.keys, each.values)
        if [path.weight for path in paths] == expected:
            if len(keys) == 1 and [path.part for path in paths] != [0, 1, 2]:
                raise CheckpointError(f"layer {layer} takes queries, keys and values in another order from one weight.")
            plain = [path.is_plain(fused=len(keys) == 1, keys=path is each.keys) for path in paths]
            if not all(plain) or each.values.factors:
                raise CheckpointError(
                    f"layer {layer} brings queries, keys or values into heads in a way not known here."
                )
            return each
    for problem in problems:
        raise problem
    raise CheckpointError(f"its graph shows no attention of the weights of layer {layer}: {', '.join(keys) or 'none'}.")


def _heads(layers: Mapping[int, Attention], conversion: Conversion, graph: Graph, metadata: Metadata) -> int | None:
    """Of all layers; None where the graph does not show it. CheckpointError for an attention that is not plain."""
    dim = conversion["cls_token"].shape[-1]
    rotary = "rope_periods" in conversion or metadata.rope_base is not None
    shown = set()
    for layer, each in layers.items():
        if each.values.rotated or {each.queries.rotated, each.keys.rotated} != {rotary}:
            raise CheckpointError(
                f"layer {layer} {'does not rotate' if rotary else 'changes'} its queries and keys"
                f"{', as its format does' if rotary else ' after their projection (rotary positions, qk_norm)'}."
            )
        width = each.queries.head_dim(dim) or (dim // metadata.heads if metadata.heads else None)
        shown.add(width)
        if width is not None:
            _check_scale(layer, each, graph, width)
    if len(shown) != 1:
        raise CheckpointError(f"its layers have heads of several widths: {sorted(map(str, shown))}.")
    width = shown.pop()
    return None if width is None else dim // width


def _drop_rotations(
    conversion: Conversion,
    graph: Graph,
    attention: Collection[Attention],
    metadata: Metadata,
    heads: int | None,
) -> bool:
    """Whether the graph has cosines and sines as tensors, which are held to those of this base and its own size.

    Where it computes them, the coordinates that it begins with are left out.
    """
    found = {key for each in attention for path in (each.queries, each.keys) for key in path.rotations}
    if not found:
        conversion.drop(r".*\brope_embeddings?\b.*", WHY_PLACES)
        return False
    grid = graph.input_grid(conversion["patch_embed.proj.weight"].shape[-1])
    if grid is None or heads is None or metadata.rope_base is None:
        raise CheckpointError("its graph does not show for which size its rotary positions are: export it with one.")
    periods = rope_periods(conversion["cls_token"].shape[-1] // heads, base=metadata.rope_base)
    expected = patch_rotation(periods, grid, dtype=torch.float32)
    for key in found:
        tensor = graph.tensors[key].float().squeeze()
        same = [each for each in (expected.cos, expected.sin) if each.shape == tensor.shape]
        if not any(torch.allclose(tensor, each, rtol=0, atol=_CLOSE) for each in same):
            raise CheckpointError(f"its graph rotates by {key!r}: other positions than of base {metadata.rope_base:g}.")
        conversion.drop(re.escape(key), WHY_ROTATION)
    return True


def _check_scale(layer: int, attention: Attention, graph: Graph, width: int) -> None:
    scale = attention.scale(graph, width)
    if scale is None or abs(scale * width**0.5 - 1) > _CLOSE:
        raise CheckpointError(
            f"layer {layer} scales its scores by {'what is computed' if scale is None else format(scale, 'g')}; "
            f"expected 1/√{width}, {width**-0.5:g}."
        )


def _eps(conversion: Conversion, graph: Graph) -> float:
    names = [
        name for name in conversion.tensors if re.fullmatch(r"(blocks\.\d+\.norm[12]|norm|norm_pre)\.weight", name)
    ]
    found = {eps for name in names for key in conversion.origins(name) for eps in norm_eps(graph, key)}
    if not found or max(found) > min(found) * (1 + _CLOSE):
        raise CheckpointError(f"its LayerNorms must all have one eps; got {sorted(found)}.")
    return float(f"{max(found):.2g}")  # 1e-6, which single precision has as 9.99999997e-7


def _mlp(conversion: Conversion, graph: Graph) -> str:
    gated = "blocks.0.mlp.w12.weight" in conversion
    first, last = ("w12", "w3") if gated else ("fc1", "fc2")
    found = set()
    for layer in conversion.layers():
        mlp = f"blocks.{layer}.mlp"
        weights, biases, after = (
            conversion.origins(f"{mlp}.{name}") for name in (f"{first}.weight", f"{first}.bias", f"{last}.weight")
        )
        width = conversion[f"{mlp}.{first}.weight"].shape[0]
        found.add(activation(graph, weights, biases, after, width, gated=gated))
    known = {_GATED.get(each, "") if gated else each for each in found}
    if len(known) != 1 or known & {"", "silu"}:
        raise CheckpointError(
            f"its MLPs must all have one activation, GELU or QuickGELU; got {', '.join(sorted(found))}."
        )
    return known.pop()


def _check_agreement(said: Metadata, shown: Metadata) -> None:
    if abs(said.norm_eps - shown.norm_eps) > _CLOSE * shown.norm_eps:
        raise CheckpointError(
            f"its graph has LayerNorms of eps {shown.norm_eps:g}, its configuration {said.norm_eps:g}."
        )
    if said.mlp != shown.mlp and not (said.mlp not in GATED_MLPS and shown.mlp == "swiglu"):
        raise CheckpointError(f"its graph has MLPs with {shown.mlp}, and its configuration says {said.mlp}.")
