"""The architecture that tensors show by their shapes, once they have the names of VisionTransformer."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from vit_engine.errors import CheckpointError, SpecError
from vit_engine.spec import GATED_MLPS, ModelSpec
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats import Metadata
from vit_engine.weights.reading.listing import listed

Shape = tuple[int, ...]
MOST_LAYERS = 256  # the deepest that are published have 60
MOST_CLASSES = 100_000  # ImageNet-21k has 21,843

# The tensors that show the architecture, with their axes: the first two are needed, and one of an MLP.
_AXES = {
    "patch_embed.proj.weight": ("dim", "3 channels", "patch size", "patch size"),
    "cls_token": ("1", "1", "dim"),
    "blocks.0.mlp.fc1.weight": ("hidden", "dim"),
    "blocks.0.mlp.w3.weight": ("dim", "hidden"),  # gated
    "pos_embed": ("1", "prefix + patches", "dim"),
    "register_tokens": ("1", "registers", "dim"),
    "head.weight": ("classes", "features"),
}


class Heads(NamedTuple):
    """How many heads, and what says so, in words."""

    number: int
    source: str


def read_spec(conversion: Conversion, metadata: Metadata, *, name: str, heads: int) -> ModelSpec:
    """The model that the tensors are of. Raises CheckpointError, naming what was found, where they are of no ViT."""
    if metadata.missing_info:
        raise CheckpointError(metadata.missing_info)
    tensors = conversion.tensors
    shapes = _telling_shapes(tensors)
    dim, _, patch_size, _ = shapes["patch_embed.proj.weight"]
    depth = _depth(conversion)
    distilled = "dist_token" in tensors
    rotary = "rope_periods" in tensors or metadata.rope_base is not None
    gated = "blocks.0.mlp.w3.weight" in shapes
    hidden = shapes["blocks.0.mlp.w3.weight"][1] if gated else shapes["blocks.0.mlp.fc1.weight"][0]
    classes = _classes(shapes)
    if metadata.class_names is not None and len(metadata.class_names) != classes:
        raise CheckpointError(f"{len(metadata.class_names)} classes are named, and its classifier has {classes}.")
    try:
        return ModelSpec(
            name=name,
            title=name,
            family=metadata.family,
            patch_size=patch_size,
            dim=dim,
            depth=depth,
            heads=heads,
            native_size=_native_size(shapes, metadata, patch_size, 1 + distilled),
            registers=shapes.get("register_tokens", (0, 0))[1],
            distilled=distilled,
            mlp_ratio=hidden / dim,
            mlp="swiglu" if gated and metadata.mlp not in GATED_MLPS else metadata.mlp,
            qkv_bias="blocks.0.attn.qkv.bias" in tensors,
            patch_bias="patch_embed.proj.bias" in tensors,
            layer_scale="blocks.0.ls1.gamma" in tensors,
            pre_norm="norm_pre.weight" in tensors,
            norm_eps=metadata.norm_eps,
            positions="rope" if rotary else "learned",
            pooling=metadata.pooling,
            resampling=metadata.resampling,
            preprocessing=metadata.preprocessing,
            class_names=metadata.class_names or tuple(f"class {index}" for index in range(classes)),
        )
    except SpecError as error:
        raise CheckpointError(str(error)) from error


def _depth(conversion: Conversion) -> int:
    """Layers. Each is built before it is proven, and so are the names of classes."""
    depth = len(conversion.layers())
    if depth > MOST_LAYERS:
        raise CheckpointError(f"it has {depth:,} layers; at most {MOST_LAYERS} are taken. Pass a Vision Transformer.")
    return depth


def _classes(shapes: Mapping[str, Shape]) -> int:
    classes = shapes.get("head.weight", (0,))[0]
    if classes > MOST_CLASSES:
        raise CheckpointError(
            f"its classifier has {classes:,} classes; at most {MOST_CLASSES:,} are taken. Save it with num_classes=0."
        )
    return classes


def possible_heads(dim: int) -> tuple[int, ...]:
    """Numbers of heads that divide the dimensions, the likeliest, of 64 dimensions each, first."""
    # To the root alone: a tensor that repeats one value can claim billions of dimensions.
    small = [count for count in range(1, math.isqrt(dim) + 1) if dim % count == 0]
    divisors = {*small, *(dim // count for count in small)}
    possible = sorted(count for count in divisors if count == 1 or dim // count >= 4)
    return tuple(sorted(possible, key=lambda count: abs(math.log2(dim / count / 64))))


def _telling_shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Shapes of the tensors that show the architecture, with as many axes as it takes to read it from them."""
    mlp = "blocks.0.mlp.w3.weight" if "blocks.0.mlp.w3.weight" in tensors else "blocks.0.mlp.fc1.weight"
    missing = [name for name in ("patch_embed.proj.weight", "cls_token", mlp) if name not in tensors]
    if missing:
        raise CheckpointError(f"a Vision Transformer's {', '.join(missing)} is missing; got {listed(sorted(tensors))}.")
    shapes = {name: tuple(tensors[name].shape) for name in _AXES if name in tensors}
    wrong = [name for name, shape in shapes.items() if len(shape) != len(_AXES[name]) or 0 in shape]
    kernel = shapes["patch_embed.proj.weight"][1:]
    if not wrong and (kernel[0] != 3 or kernel[1] != kernel[2]):
        wrong = ["patch_embed.proj.weight"]
    if wrong:
        expected = ", ".join(f"{name} ({', '.join(_AXES[name])})" for name in wrong)
        found = ", ".join(f"{name} {shapes[name]}" for name in wrong)
        raise CheckpointError(f"expected {expected}, with square patches of RGB pixels; got {found}.")
    return shapes


def _native_size(shapes: Mapping[str, Shape], metadata: Metadata, patch_size: int, prefix: int) -> tuple[int, int]:
    """(height, width) in pixels: what came with the file says, or the square that the positions are of."""
    if metadata.native_size is not None:
        return metadata.native_size
    if "pos_embed" not in shapes:
        raise CheckpointError("it has neither learned positions nor a size that came with it.")
    patches = max(shapes["pos_embed"][1] - prefix, 0)
    side = math.isqrt(patches)
    if side * side != patches or not side:
        raise CheckpointError(
            f"its {patches} patch positions are no square grid, and nothing says how they lie; put the config.json "
            "that came with it, with its image_size, beside it."
        )
    return side * patch_size, side * patch_size
