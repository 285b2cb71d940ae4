"""timm's Vision Transformers (timm.models.vision_transformer, timm.models.deit): ViT, AugReg, DeiT, DeiT-III, reg4,
and DINOv2 and CLIP as timm has them.

With its config.json beside it, a file is timm's whatever its names are. Bare ones share their names with
DeiT, MAE and DINO, whose own evidence goes first; what is left and has a classifier, registers, LayerScale
or a norm before the first block is timm's.

Surprises. Positions may have no row for the CLS token (no_embed_class: DeiT-III, reg4), or rows for registers
too; those are added to the registers here, which is the same sum. fc_norm is the final norm, moved behind the
pooling. Packed SwiGLUs are called fc1 and fc2 as plain MLPs are, and show by their shapes.
"""

import math

import torch

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.plain import canonical, is_square, refuse_unusual, without_cls_position
from vit_engine.weights.formats.common.timm_config import Description, class_names, describe, preprocessing
from vit_engine.weights.reading.limits import check_within_memory

_TELLING = {"head.weight", "reg_token", "blocks.0.ls1.gamma", "norm_pre.weight"}
_MLPS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "quick_gelu": "quick_gelu", "silu": "swiglu", "swish": "swiglu"}
MISSING_CLIP = (
    "it normalises tokens before the first block, as CLIP does, and neither the activation (GELU or QuickGELU) nor the "
    "norms' eps is in tensors: put the config.json that timm saved with it beside it."
)
ASSUMED_RESAMPLING = "Positions are resampled with antialiasing, as timm does; DeiT's files can have the same names."
ASSUMED_SQUARE = "Its positions are a square grid of patches, and none is of the CLS token."
WHY_ATTENTION_POOL = "attention pooling, which its classifier sees and the blocks do not"


def _recognises(conversion: Conversion, sidecar: Sidecar) -> bool:
    names = conversion.tensors.keys()
    if describe(sidecar) is not None:
        return True
    return canonical(names) and (bool(names & _TELLING) or not names >= {"cls_token", "pos_embed"})


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    said = describe(sidecar) or Description()
    conversion.rename(((r"timm_model\.(.+)", r"\1"),))  # as transformers' TimmWrapper calls them
    architecture = _architecture(conversion, said)
    _unflatten_patches(conversion)
    gated = _gate(conversion)
    mlp, norm_eps = _equations(said, architecture, gated=gated)
    pooling, taken = _pool(conversion, said)
    native, read = _positions(conversion, said)
    pictures, assumed = preprocessing(said)
    heads = said.options.get("num_heads")
    says_heads = f"the architecture {said.architecture}" if heads is None else "num_heads"
    if not said.source:
        assumed += (ASSUMED_RESAMPLING,)
    return Metadata(
        family="timm",
        heads=architecture.heads if heads is None else int(heads),
        heads_from=f"{says_heads} in {said.source}" if said.source else "",
        native_size=native,
        mlp=mlp,
        norm_eps=norm_eps,
        pooling=pooling,
        resampling="antialias",
        preprocessing=pictures,
        class_names=class_names(said.labels) if "head.weight" in conversion else None,
        published=published.TIMM,
        assumed=assumed + taken + read,
        missing_info=MISSING_CLIP if not (said.source or sidecar.graph) and "norm_pre.weight" in conversion else "",
    )


def _architecture(conversion: Conversion, said: Description) -> published.Architecture:
    """What the architecture's name says, or most have, once the tensors are known to be of a plain model."""
    refuse_unusual(conversion)
    if not said.source or said.live:
        return published.Architecture(heads=None, mlp="gelu", norm_eps=1e-6)
    known = published.known_architecture(said.architecture, dim=conversion["cls_token"].shape[-1])
    if known is None:
        raise CheckpointError(
            f"{said.source} calls it {said.architecture!r}, which is not among timm's plain Vision Transformers as "
            "they are known here, and what else it computes need not show in its tensors (rotary positions do not). "
            "If it is a plain one, save its state_dict() alone, and pass heads=."
        )
    return known


def _unflatten_patches(conversion: Conversion) -> None:
    """A patch projection kept as a linear layer, (dim, 3 · size · size), becomes the convolution that it is."""
    name = "patch_embed.proj.weight"
    if name in conversion and conversion[name].ndim == 2:
        size = math.isqrt(conversion[name].shape[1] // 3)
        conversion.combine([name], name, lambda weight: weight.reshape(len(weight), 3, size, size))


def _gate(conversion: Conversion) -> bool:
    """Gated MLPs under their names here, the gate first as in timm's SwiGLUPacked; whether there are any."""
    first, second = "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight"
    if "blocks.0.mlp.fc1_g.weight" in conversion:
        conversion.join_layers(("mlp.fc1_g", "mlp.fc1_x"), "mlp.w12")
    elif first not in conversion or len(conversion[first]) != 2 * conversion[second].shape[1]:
        return False
    conversion.rename(((r"(blocks\.\d+\.mlp\.)fc1(\..*)", r"\1w12\2"), (r"(blocks\.\d+\.mlp\.)fc2(\..*)", r"\1w3\2")))
    return True


def _equations(said: Description, architecture: published.Architecture, *, gated: bool) -> tuple[str, float]:
    """Activation and eps: as the architecture has them, unless it was changed. CheckpointError if it cannot be."""
    act, norm = said.options.get("act_layer"), said.options.get("norm_layer")
    mlp = _MLPS.get(str(act)) if act else "swiglu" if gated else architecture.mlp
    if mlp is None or gated != (mlp == "swiglu"):
        raise CheckpointError(
            f"its activation must be one of {', '.join(_MLPS)}, silu in gated MLPs; got {act!r:.100}."
        )
    if norm is not None and norm != "layernorm":
        raise CheckpointError(f"its norm_layer must be 'layernorm'; got {norm!r:.100}.")
    return mlp, 1e-6 if norm else architecture.norm_eps


def _pool(conversion: Conversion, said: Description) -> tuple[str, tuple[str, ...]]:
    """What the classifier sees, and what of that is assumed."""
    if any(name.startswith("attn_pool.") for name in conversion.tensors):
        conversion.drop(r"attn_pool\..*", WHY_ATTENTION_POOL)
        conversion.drop(r"head\..*", "classifier behind attention pooling")
        return "cls", ()
    moved = "fc_norm.weight" in conversion
    conversion.rename(((r"fc_norm\.(weight|bias)", r"norm.\1"),))
    if "head_dist.weight" in conversion:
        return "cls_dist", ()
    if said.pooling is not None:
        return _said_pooling(said, moved=moved), ()
    pooling, seen = ("mean_norm", "mean of the patches") if moved else ("cls", "CLS token")
    assumed = not said.source and "head.weight" in conversion
    return pooling, (f"Its classifier sees the {seen}.",) if assumed else ()


def _said_pooling(said: Description, *, moved: bool) -> str:
    poolings = {"": "cls", "token": "cls", "avg": "mean_norm" if moved else "mean"}
    if said.pooling not in poolings or (said.pooling == "avg" and said.options.get("pool_include_prefix")):
        raise CheckpointError(
            f"its classifier must see the CLS token (global_pool 'token') or the mean of the patches ('avg'); "
            f"got {said.pooling!r:.100} in {said.source}"
            f"{', prefix tokens included' if said.options.get('pool_include_prefix') else ''}. "
            "Save it with num_classes=0 and global_pool='token'."
        )
    return poolings[said.pooling]


def _positions(conversion: Conversion, said: Description) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """Rows for all tokens but registers. The native size, None for a square grid, and what of all that is assumed."""
    registers = conversion["reg_token"].shape[1] if "reg_token" in conversion else 0
    _supply_positions(conversion, said, registers)
    before = 1 + ("dist_token" in conversion) + registers
    size, with_rows = _grid(conversion, said, before)
    if registers and with_rows:
        extra = conversion["pos_embed"][:, 1 : 1 + registers]
        conversion.combine(["reg_token"], "register_tokens", lambda tokens: tokens.float() + extra.float())
        conversion.combine(
            ["pos_embed"], "pos_embed", lambda rows: torch.cat([rows[:, :1], rows[:, 1 + registers :]], dim=1)
        )
    elif not with_rows:
        without_cls_position(conversion)
    conversion.rename(((r"reg_token", r"register_tokens"),))
    return size, () if with_rows or size else (ASSUMED_SQUARE,)


def _supply_positions(conversion: Conversion, said: Description, registers: int) -> None:
    """Zeros for a model that has no positions, where that is what it says of itself."""
    if "pos_embed" in conversion:
        return
    if said.options.get("pos_embed") not in {"", "none"} or not said.sizes():
        raise CheckpointError(
            "it has no pos_embed, and no config.json says that there are no positions at all: it may rotate queries "
            "and keys, which does not show in tensors, and VisionTransformer would not. For DINOv3 take the "
            "file of facebookresearch/dinov3 or of Hugging Face."
        )
    height, width = said.sizes()[0]
    patch = conversion["patch_embed.proj.weight"].shape[-1]
    rows, dim = 1 + registers + (height // patch) * (width // patch), conversion["cls_token"].shape[-1]
    check_within_memory(4 * rows * dim, f"the positions of {height}×{width} px, as {said.source} says, have")
    conversion.set("pos_embed", torch.zeros(1, rows, dim))


def _grid(conversion: Conversion, said: Description, before: int) -> tuple[tuple[int, int] | None, bool]:
    """The native size, None for a square, and whether positions have rows for the tokens before the patches."""
    rows, patch = conversion["pos_embed"].shape[1], conversion["patch_embed.proj.weight"].shape[-1]
    for height, width in said.sizes():
        patches = (height // patch) * (width // patch)
        if rows in {patches, patches + before}:
            return (height // patch * patch, width // patch * patch), rows != patches
    if said.options.get("img_size") is not None:
        raise CheckpointError(
            f"{said.source} says pictures of {said.sizes()[0]} px, and pos_embed has {rows} rows for patches of "
            f"{patch} px: they are of different models. Put the config.json that was saved with the file beside it."
        )
    with_rows, without = is_square(rows - before), is_square(rows)
    # n × (n + 2) patches and a CLS token are as many as (n + 1)² patches, which few models have without a row for CLS.
    oblong = without and before == 1 and "blocks.0.ls1.gamma" not in conversion
    if (with_rows and without) or oblong or (before > 1 and not with_rows and not without):
        raise CheckpointError(
            f"its {rows} positions may be those of the patches or of {before} token{'s' if before > 1 else ''} more, "
            "and nothing says which: put the config.json that timm saved with it beside it."
        )
    return None, with_rows or not without


FORMAT = Format("timm", _recognises, _convert, config_file="config.json")
