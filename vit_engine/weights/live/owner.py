"""Which part of a module is the Vision Transformer: out of its wrappers, and what cannot be read at all."""

import re
from typing import NamedTuple

from torch import nn

from vit_engine.errors import CheckpointError
from vit_engine.model import VisionTransformer
from vit_engine.weights.diagnosis import GATHER, MERGE, UNQUANTISED
from vit_engine.weights.reading.listing import listed

_TIMM = ("timm.models.vision_transformer", "VisionTransformer")
_TRANSFORMERS = ("transformers.modeling_utils", "PreTrainedModel")
# Those of transformers' model types that are Vision Transformers here.
_MODEL_TYPES = {
    *("vit", "vit_mae", "vit_msn", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit"),
    *("clip", "clip_vision_model"),
}
_CLS = {"cls_token", "class_token", "class_embedding"}  # of its own, in modules of no library that is known here
# Wrappers of training, and where they keep the module.
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
# What gives modules away whose tensors are no weights to take: a pattern of a class's whole name; what; what to do.
_SIGNS = (
    (r"torch\.distributed\..*fsdp.*", "a module whose parameters are sharded (FSDP)", GATHER),
    (r"peft\..*", "a module with an adapter (PEFT: LoRA, say)", MERGE),
    (
        r"(torch\.(ao\.)?nn\.(intrinsic\.)?(quantized|qat)|torchao|bitsandbytes|auto_gptq|gptqmodel|awq|hqq|"
        r"(optimum\.)?quanto)\..*",
        "a quantised module",
        UNQUANTISED,
    ),
    (
        r"torch\.(jit|fx)\..*",
        "a compiled or traced program (TorchScript, torch.fx)",
        "Pass the module that it was made from.",
    ),
)


class Owner(NamedTuple):
    """A module, where it is in what was passed, and whose it is: "timm", "transformers", "vit_engine", or ""."""

    module: nn.Module
    path: str
    library: str


def find_owner(module: nn.Module) -> Owner:
    """The Vision Transformer in a module, by its class or its CLS token, else the module out of its wrappers.

    CheckpointError for several, and for modules whose tensors are no weights.
    """
    _refuse_by_class(module)
    module = _unwrapped(module)
    libraries = {path: library for path, part in module.named_modules() if (library := _library(part))}
    known = [path for path, library in libraries.items() if _is_vit(module.get_submodule(path), library)]
    known = known or [path for path in libraries if libraries[path] == "transformers"]
    owners = _outermost(known or [path for path, part in module.named_modules() if _CLS.intersection(part._parameters)])
    if len(owners) > 1:
        raise CheckpointError(
            f"it holds {len(owners)} Vision Transformers: {listed(owners)}. Pass the one that is meant, "
            f"module.get_submodule({owners[0]!r}), say."
        )
    path = owners[0] if owners and not _is_hub_classifier(module, owners[0]) else ""
    return Owner(module.get_submodule(path), path, libraries.get(path, ""))


def _unwrapped(module: nn.Module) -> nn.Module:
    while inner := _WRAPPERS.get(type(module).__name__):
        module = getattr(module, inner)
    return module


def _classes(module: nn.Module) -> list[tuple[str, str]]:
    return [(each.__module__, each.__name__) for each in type(module).__mro__]


def _library(module: nn.Module) -> str:
    """By its classes' names: the libraries themselves need not be there."""
    if isinstance(module, VisionTransformer):
        return "vit_engine"
    classes = _classes(module)
    return "timm" if _TIMM in classes else "transformers" if _TRANSFORMERS in classes else ""


def _is_vit(module: nn.Module, library: str) -> bool:
    """Models of transformers that only hold one, a timm model or another tower, are none."""
    return library != "transformers" or getattr(module.config, "model_type", "") in _MODEL_TYPES


def _is_hub_classifier(module: nn.Module, path: str) -> bool:
    """Whether it is a Vision Transformer and its linear classifier, as the hubs of DINOv2 and DINOv3 make them."""
    beside = {name.split(".")[0] for name in module.state_dict() if not _is_in(name, path)}
    return beside == {"linear_head"}


def _outermost(paths: list[str]) -> list[str]:
    return [path for path in paths if not any(path != other and _is_in(path, other) for other in paths)]


def _is_in(path: str, other: str) -> bool:
    return not other or path.startswith(f"{other}.")


def _refuse_by_class(module: nn.Module) -> None:
    for path, part in module.named_modules():
        for name in (".".join(each) for each in _classes(part)):
            for pattern, what, todo in _SIGNS:
                if re.fullmatch(pattern, name):
                    raise CheckpointError(f"it is {what}: {path or 'the module itself'} is a {name}. {todo}")
