"""A torch.nn.Module in memory as a checkpoint: its tensors copied, and what its library would save beside them."""

import weakref
from collections import Counter

from torch import nn

from vit_engine.errors import CheckpointError
from vit_engine.weights.diagnosis import check_plain
from vit_engine.weights.live.configuration import configuration_of
from vit_engine.weights.live.owner import Owner, find_owner
from vit_engine.weights.live.tensors import LeftOut, copied, read_tensors, sha256_of
from vit_engine.weights.origin import Origin
from vit_engine.weights.reading.limits import check_names, check_tensors_within_limit
from vit_engine.weights.reading.listing import naming_file
from vit_engine.weights.reading.parts import counted
from vit_engine.weights.reading.read import CheckpointFile

CONTAINER = "module"


def read_module(module: nn.Module) -> CheckpointFile:
    """What a module is, as a file would say it; the module stays as it is, and may change or go afterwards.

    CheckpointError for several Vision Transformers in one, and for tensors that are no weights or not here: adapters,
    quantised, sharded and meta ones. ResourceError where copies need more than memory_budget().
    """
    with naming_file(_source(module)):
        owner = find_owner(module)
    return _read(module, owner)


def read_whole_clip(module: nn.Module) -> CheckpointFile:
    """The same of the CLIP that a module's Vision Transformer is the visual part of, its text tower and all."""
    with naming_file(_source(module)):
        owner = find_owner(module)
        outside, _, name = owner.path.rpartition(".")
        if name == "visual":  # as OpenAI's CLIP and open_clip's call it
            owner = Owner(module.get_submodule(outside), outside, "")
    return _read(module, owner)


def _read(module: nn.Module, owner: Owner) -> CheckpointFile:
    source = _source(owner.module)
    with naming_file(source):
        tensors, left_out = read_tensors(owner.module)
        if not tensors:
            raise CheckpointError("it has no parameters. Pass a module that is a Vision Transformer.")
        check_names(tensors)
        check_plain(tensors)
        check_tensors_within_limit(tensors)
        content = copied(tensors)
        configuration = configuration_of(owner)
    return CheckpointFile(
        source=source,
        name=configuration.name,
        content=content,
        container=CONTAINER,
        sha256=sha256_of(content),
        config=configuration.config,
        preprocessor=configuration.preprocessor,
        module=owner.module,
        left_out=(*left_out, *_beside(module, owner)),
        other_part="pass the part of the module that is the Vision Transformer (module.backbone, say)",
        origin=Origin(module=weakref.ref(module)),
    )


def _source(module: nn.Module) -> str:
    """As messages name it: "timm VisionTransformer in memory"."""
    library, name = type(module).__module__.split(".")[0], type(module).__name__
    known = library in {"timm", "transformers", "torchvision", "open_clip", "vit_engine"}
    return f"{library} {name} in memory" if known else f"{name} in memory"


def _beside(module: nn.Module, owner: Owner) -> LeftOut:
    """What was passed and is outside of its Vision Transformer: parameters, by where they are, and code."""
    if not owner.path:
        return ()
    inside = {id(each) for each in owner.module.parameters()}
    beside = Counter(name.split(".")[0] for name, each in module.named_parameters() if id(each) not in inside)
    around = f"the forward around {owner.path}", "is not run; what it does before and after is not seen"
    return (
        around,
        *(
            (f"{name}: {counted(count, 'tensor', 'tensors')}", f"beside the Vision Transformer, which is {owner.path}")
            for name, count in beside.items()
        ),
    )
