"""load_model(): from a name, a path or a module to a model proven to have all its weights; or to the proof alone."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from vit_engine.devices import usable_device
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.model import VisionTransformer
from vit_engine.progress import Progress
from vit_engine.registry import find_model
from vit_engine.spec import ModelSpec
from vit_engine.weights.convert import Converted, convert
from vit_engine.weights.identify import advice, choices, convert_as, identify, known_heads, published
from vit_engine.weights.live.parity import check_parity
from vit_engine.weights.locate import fetch, weights_path
from vit_engine.weights.reading.listing import naming_file
from vit_engine.weights.reading.parts import find_parts, sees_pictures
from vit_engine.weights.report import Inspection, LoadedModel, LoadReport
from vit_engine.weights.sources import Source, open_source


def load_model(
    name_or_path: Source,
    *,
    weights: str | Path = "auto",
    heads: int | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> LoadedModel:
    """A model with its weights, frozen, in eval mode and in float32.

    name_or_path: a name from list_models(), a ModelSpec, a checkpoint, a model on the Hugging Face hub, or a module in
    memory. A checkpoint is a file, or a folder with a config.json, in any of the formats of vit_engine.weights.formats.
    A '#' and a name after a path choose a part of what a training run saved ("run/checkpoint.pth#student"); without it
    averaged weights (DINO's teacher, EMA) come first, and the report says what was taken. weights: "auto" for the
    model's trained ones (downloaded at first use; models whose name begins with "random" have none), "random" for fresh
    ones from `seed`, or a path. heads: needed where a checkpoint does not say, because tensors cannot; a model's
    trained weights have the heads of its spec, and no other number is taken for them. device: "auto" takes a GPU if
    there is one, wherever a module is.

    On the hub, in one of these formats, are "facebook/dinov2-small" and "hf:org/name@revision"; what is here by that
    name comes first, and "hf:" always means the hub. Its configuration and its safetensors, or its pickle where there
    are none, are kept in the hub's cache, which serves without a connection, too.

    A module is a torch.nn.Module of timm, transformers, torchvision, open_clip, of the original repositories, or
    whatever else is built like one of these; wrappers of training around it are seen through. Its tensors are copied,
    and it stays as it is, unless its own forward writes to its weights. Its word on heads, activation and eps is taken
    before any configuration's. Both are run on one small picture of noise, in float32 on the CPU, and must agree in
    every layer; the report says how well they do, and that hooks are not run.

    Loading is strict: SpecError for a name or heads that do not exist, CheckpointError with the lists of keys where a
    file does not fit, or with what is different where a module computes something else, DownloadError where weights
    cannot be fetched, ResourceError where they need more than memory_budget().
    """
    target = usable_device(device)
    if (checkpoint := open_source(name_or_path, progress=progress)) is not None:
        if weights != "auto":
            raise SpecError(
                f"weights= goes with a model's name; {checkpoint.source!r} is a weight file itself. Leave it out."
            )
        converted = convert(checkpoint)
        return _assembled(converted, *identify(converted, heads=heads), target)
    spec = name_or_path if isinstance(name_or_path, ModelSpec) else find_model(str(name_or_path))
    if heads not in (None, spec.heads) and weights == "auto" and spec.weights is not None:
        # Nothing in trained weights would object to other heads, and every map would be wrong.
        raise SpecError(
            f"heads must be {spec.heads} for the trained weights of {spec.name!r}; got {heads}. Leave heads= out, "
            "or use weights='random' or a file of your own."
        )
    spec = spec if heads is None else spec.with_heads(heads)
    if weights == "random" or (weights == "auto" and spec.weights is None):
        return _random_model(spec, seed, target)
    file = fetch(spec, progress=progress) if weights == "auto" else Path(weights).expanduser()
    if weights == "auto" and progress is not None:
        progress(1.0, f"loading {spec.title}")
    return _assembled(convert_as(spec, file), spec, f"the model {spec.name}", target)


def _random_model(spec: ModelSpec, seed: int, device: torch.device) -> LoadedModel:
    with torch.device("meta"):
        model = VisionTransformer(spec)
    model = model.to_empty(device="cpu")
    model.initialise(torch.Generator().manual_seed(seed))
    report = LoadReport(source=f"random (seed {seed})", format="random", sha256=None, seed=seed)
    return LoadedModel(spec, model.to(device).eval().requires_grad_(False), report)


def _assembled(converted: Converted, spec: ModelSpec, heads_from: str, device: torch.device) -> LoadedModel:
    report, file = converted.report(spec, heads_from=heads_from), converted.file
    with naming_file(file.source):
        model = converted.assemble(spec).eval().requires_grad_(False)
        if file.module is not None:
            report = _compared(converted, model, file.module, report)
        return LoadedModel(spec, model.to(device), report, file.origin)


def _compared(converted: Converted, model: VisionTransformer, module: nn.Module, report: LoadReport) -> LoadReport:
    """The report, with what came of comparing a model with the module that it was made from."""
    parity = check_parity(module, converted.conversion, model)
    assumed = converted.metadata.assumed if parity.verified else report.assumed
    return replace(report, verified=parity.verified, assumed=(*assumed, *parity.assumed))


def inspect_checkpoint(
    name_or_path: str | Path | nn.Module, *, heads: int | None = None, progress: Progress | None = None
) -> Inspection:
    """What load_model() would make of a checkpoint, without making it, and without a word on heads if need be.

    name_or_path: as load_model() takes it; the weights of a model that is known by name must be here, those of one on
    the Hugging Face hub are fetched, and a module is not run. heads: as its owner says. Raises what load_model()
    raises.
    """
    checkpoint = open_source(name_or_path, progress=progress)
    if checkpoint is None:
        return _inspect_as(find_model(str(name_or_path)), heads)
    converted = convert(checkpoint)
    said = known_heads(converted, published(converted))
    possible = () if said is not None else choices(converted)
    if said is None and heads is None:
        architecture, source = converted.spec(possible[0]), ""
    else:
        architecture, source = identify(converted, heads=heads)
    converted.prove(architecture)
    parts = sorted(find_parts(converted.file.content), key=lambda part: part.rank)
    return Inspection(
        report=converted.report(architecture, heads_from=source),
        spec=architecture if source else None,
        architecture=architecture,
        heads_choices=possible,
        advice=advice(converted) if possible else "",
        parts=tuple(part.name for part in parts if sees_pictures(part.tensors)),
    )


def _inspect_as(spec: ModelSpec, heads: int | None) -> Inspection:
    """The trained weights of a model that is known by name."""
    path = weights_path(spec)
    if not path.exists():
        raise CheckpointError(
            f"the weights of {spec.name!r} are not here: {path} does not exist. Fetch them with "
            f"`python -m vit_engine download {spec.name}`."
        )
    converted = convert_as(spec, path)
    if heads not in {None, spec.heads}:
        raise CheckpointError(f"{spec.name!r} has {spec.heads} heads; got heads={heads}. Leave heads= out.")
    converted.prove(spec)
    return Inspection(converted.report(spec, heads_from=f"the model {spec.name}"), spec, spec)
