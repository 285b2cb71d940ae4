"""What a state dict is that cannot be run here, and what to do: in words, for whoever took it for a ViT."""

import re
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed
from vit_engine.weights.reading.storages import PackedTensor

Tensors = Mapping[str, Tensor]

MERGE = "Merge the two (PEFT: merge_and_unload()), save the model with save_pretrained(), and pass that."
GATHER = (
    "Gather the whole model where it was trained (StateDictType.FULL_STATE_DICT, or get_model_state_dict() with "
    "full_state_dict=True), and save that."
)
_OTHER = "Pass the checkpoint of a plain Vision Transformer."
UNQUANTISED = "Pass the model as it was before it was quantised."
_ATTENTION = r"(^|\.)(qkv|attn|attention|self_attn|query|in_proj_weight|q_proj)\b"


# What gives kinds of checkpoints away, a pattern in any of their names; what they are; what to do.
# These are looked for before any format is asked, because these models have the names of one, too, and more.
SURE_SIGNS = (
    (r"(^|\.)(lora_|ia3_|hada_w)", "an adapter (LoRA, say), which changes a model and is none", MERGE),
    (r"(^|\.)_?flat_param(_\d+)?$", "a shard of a distributed (FSDP) run", GATHER),
    (
        r"\.(SCB|absmax|quant_map|quant_state\..*|qweight|qzeros|g_idx|weight_format|_packed_params.*)$",
        "a quantised model (bitsandbytes, GPTQ…), whose weights are packed integers",
        UNQUANTISED,
    ),
    (
        r"relative_position_bias_table|relative_position_index|rel_pos_[hw]$|relative_bias_mlp|attn\.cpb_mlp",
        "a transformer whose attention has relative position biases (Swin, BEiT, SAM, MViT…) and no plain ViT",
        _OTHER,
    ),
)
# These are looked for where no format is found, in this order.
SIGNS = (
    (
        r"(^|\.)(diffusion_model|first_stage_model|time_embed|time_embedding|down_blocks)\.",
        "a diffusion model",
        _OTHER,
    ),
    (r"(^|\.)(mask_decoder|prompt_encoder)\.", "a segmentation model (SAM)", _OTHER),
    (
        r"(^|\.)(rpn|roi_heads|bbox_head|bbox_embed|transformer\.decoder|query_embed|class_labels_classifier)\.",
        "a detector",
        _OTHER,
    ),
    (
        r"(^|\.)(word_embeddings|wte|embed_tokens|tok_embeddings|token_embedding|token_embeddings|lm_head|shared)\.",
        "a text model: it has embeddings of words and none of patches",
        _OTHER,
    ),
    (
        r"(^|\.)(exp_avg|exp_avg_sq|momentum_buffer)(\.|$)",
        "the state of an optimizer",
        "Save the model's state_dict(), too.",
    ),
)
# Tensors without values to compute with.
_NO_VALUES: tuple[tuple[Callable[[Tensor], bool], str, str], ...] = (
    (lambda tensor: isinstance(tensor, PackedTensor) or tensor.is_quantized, "quantised values", UNQUANTISED),
    (lambda tensor: type(tensor) not in {Tensor, Parameter}, "values of a class of their own", GATHER),
    (lambda tensor: tensor.is_meta, "no values (meta tensors)", "Save the model after its weights are loaded."),
    (lambda tensor: tensor.layout != torch.strided, "sparse or nested values", "Save them with .to_dense()."),
)
_HEAD = re.compile(
    r"(.*\.)?(last_layer|prototypes|mlp|head|fc|classifier|linear)(\.\d+)*(\.weight.*|\.bias|\..*original\d)?"
)


def check_plain(tensors: Tensors) -> None:
    """CheckpointError for tensors that are of no plain model (adapters, shards, packed integers) or have no values."""
    for pattern, what, todo in SURE_SIGNS:
        if found := _matching(pattern, tensors):
            raise CheckpointError(f"it is {what} (it has {_some(found)}). {todo}")
    if _matching(_ATTENTION, tensors) and all(tensor.ndim < 2 for tensor in tensors.values()):
        raise CheckpointError(f"it is a shard of a distributed (FSDP or ZeRO) run: all its tensors are flat. {GATHER}")
    for shows, what, todo in _NO_VALUES:
        if found := [name for name, tensor in tensors.items() if shows(tensor)]:
            raise CheckpointError(f"{len(found)} of its tensors have {what}: {_some(found)}. {todo}")


def check_weights(tensors: Tensors) -> None:
    """CheckpointError for weights that no model can run with: integers, complex numbers, NaN or infinite as float32."""
    kinds = {name: tensor.dtype for name, tensor in tensors.items() if not tensor.is_floating_point()}
    odd = [f"{name} ({str(kind).removeprefix('torch.')})" for name, kind in kinds.items()]
    if odd:
        raise CheckpointError(
            f"{len(odd)} of its weights are no real numbers: {_some(odd)}. Pass the model as it was before it was "
            "quantised or converted."
        )
    broken = {name: _broken_values(tensor) for name, tensor in tensors.items()}
    found = [f"{name} ({count} of {stored_once(tensors[name]).numel()})" for name, count in broken.items() if count]
    if found:
        raise CheckpointError(
            f"values that are NaN or infinite as float32 are in {len(found)} of its {len(tensors)} tensors: "
            f"{_some(found)}. The training run has diverged, or the file is damaged: pass an earlier checkpoint, "
            "or copy it again."
        )


def _broken_values(tensor: Tensor) -> int:
    """How many are NaN or infinite as float32. A sum has those of its terms, and takes a tenth of the time."""
    values = stored_once(tensor).float()
    return 0 if values.sum().isfinite() else int((~values.isfinite()).sum())


def stored_once(tensor: Tensor) -> Tensor:
    """Without the axes along which it repeats its values."""
    return tensor[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in tensor.stride())]


def diagnosis(tensors: Tensors, known: Collection[str], other_part: str) -> str:
    """What a state dict is that no format recognises, and what to do, as a sentence on 'it'.

    known: the formats. other_part: how to pass less of what the state dict is of.
    """
    for pattern, what, todo in SIGNS:
        if found := _matching(pattern, tensors):
            return f"it is {what} (it has {_some(found)}). {todo}"
    if what := _shown_by_shapes(tensors):
        return f"it is {what}; got {_some(sorted(tensors))}. {_OTHER}"
    return (
        f"it is not a Vision Transformer in a format that is known here ({', '.join(known)}); got "
        f"{_some(sorted(tensors))}. If a ViT is in it under another name, {other_part}."
    )


def _shown_by_shapes(tensors: Tensors) -> str:
    """What a state dict is by all its names and shapes together; empty where they show nothing."""
    kernels = [tensor for tensor in tensors.values() if tensor.ndim == 4]
    attention = _matching(_ATTENTION, tensors)
    if len(kernels) > 2 and attention:
        return "a mixture of convolutions and attention and no plain ViT"
    if len(kernels) > 2:
        return "a convolutional network (ResNet, ConvNeXt, EfficientNet…), which has no attention to look at"
    if not kernels and all(_HEAD.fullmatch(name) for name in tensors):
        return "a head alone (a classifier, or DINO's projection head), without the model under it"
    pictures = any(kernel.shape[1] == 3 for kernel in kernels)
    if pictures and attention and not _matching(r"(cls|class)_(token|embedding|pos)", tensors):
        return "a ViT without a CLS token (SigLIP, I-JEPA…), which cannot be run here"
    return ""


def _matching(pattern: str, names: Collection[str]) -> list[str]:
    return sorted(name for name in names if re.search(pattern, name))


def _some(names: Collection[str]) -> str:
    return listed(names, 6)
