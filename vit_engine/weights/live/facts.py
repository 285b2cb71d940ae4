"""What no tensor of a Vision Transformer shows, and a module in memory does: heads, activation, eps, resampling."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vit_engine.errors import CheckpointError
from vit_engine.model.blocks import QuickGelu
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats import Metadata
from vit_engine.weights.live.places import Places
from vit_engine.weights.live.twin import Twins

_HEADS = ("num_heads", "num_attention_heads", "heads", "n_heads", "n_head")  # as attention modules call them
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "quick_gelu": QuickGelu(),
    "silu": functional.silu,
}
_GATES = {"silu": "swiglu", "gelu": "geglu"}
_NORMS = ("norm_pre.", "norm.")


def with_facts(metadata: Metadata, module: nn.Module, conversion: Conversion) -> Metadata:
    """Metadata in which the module's own word stands where it has one, before any configuration's.

    CheckpointError where its layers differ in what they have in common here, or have what is not known here.
    """
    places = Places(module, conversion)
    facts: dict[str, Any] = {
        "norm_eps": _common_value("eps", _norm_eps(places, conversion)),
        "mlp": _mlp(places, gated="blocks.0.mlp.w3.weight" in conversion),
        "resampling": _resampling(places.part()),
    }
    if heads := _common_value("number of heads", _heads(places, conversion)):
        facts |= {"heads": heads, "heads_from": "the module's attention layers"}
    return replace(metadata, missing_info="", **{name: value for name, value in facts.items() if value is not None})


def _common_value(what: str, values: Iterable[tuple[str, Any]]) -> Any:
    """Of several parts, by their paths; None where none says it. CheckpointError where two differ."""
    by_path = dict(values)
    if len(set(by_path.values())) > 1:
        first, *others = by_path
        other = next(path for path in others if by_path[path] != by_path[first])
        raise CheckpointError(
            f"its layers must have one {what}; {first} has {by_path[first]}, {other} has {by_path[other]}. "
            "Load a model whose layers are alike."
        )
    return next(iter(by_path.values()), None)


def _heads(places: Places, conversion: Conversion) -> Iterator[tuple[str, int]]:
    """Of each layer that says it: its attention module, or one within."""
    for layer in conversion.layers():
        path = places.path(f"blocks.{layer}.attn.")
        if path == places.path(f"blocks.{layer}."):
            continue
        for part in places.part(f"blocks.{layer}.attn.").modules():
            numbers = [value for name in _HEADS if type(value := getattr(part, name, None)) is int]
            if numbers:
                yield path, numbers[0]
                break


def _norm_eps(places: Places, conversion: Conversion) -> Iterator[tuple[str, float]]:
    """Of every normalisation that says it."""
    blocks = [f"blocks.{layer}.{norm}." for layer in conversion.layers() for norm in ("norm1", "norm2")]
    for norm in (*blocks, *_NORMS):
        if f"{norm}weight" in conversion:
            eps = getattr(places.part(norm), "eps", None)
            if isinstance(eps, float):
                yield places.path(norm), eps


def _mlp(places: Places, *, gated: bool) -> str | None:
    """The kind of MLP, by its activation, which is tried out; None where no module is it, but code in a forward."""
    name = _common_value("activation", _activations(places))
    if name is None:
        return None
    kinds = _GATES if gated else {kind: kind for kind in _ACTIVATIONS if kind != "silu"}
    if name not in kinds:
        raise CheckpointError(
            f"its {'gated ' if gated else ''}MLPs have the activation {name}; known here are {', '.join(kinds)}. "
            "Load a model with one of them."
        )
    return kinds[name]


def _activations(places: Places) -> Iterator[tuple[str, str]]:
    """Of the first block's MLP, modules without tensors that change their input; an unknown one by its class's name."""
    path, attention = places.path("blocks.0.mlp."), places.path("blocks.0.attn.")
    inputs = torch.linspace(-4, 4, 101, dtype=torch.float32, device="cpu")
    for name, part in places.part("blocks.0.mlp.").named_modules():
        whole = f"{path}.{name}"
        inside = whole == attention or whole.startswith(f"{attention}.")
        if inside or any(True for _ in part.children()) or part.state_dict():
            continue
        output = _tried(part, whole, inputs)
        if not torch.equal(output, inputs):
            named = (kind for kind, known in _ACTIVATIONS.items() if torch.allclose(output, known(inputs), atol=1e-6))
            yield whole, next(named, type(part).__name__)


def _tried(part: nn.Module, path: str, inputs: Tensor) -> Tensor:
    """CheckpointError for what is no function of a tensor: it belongs to no plain MLP."""
    try:
        with torch.no_grad():
            return Twins().of(part)(inputs)
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise CheckpointError(
            f"its MLPs have {path} ({type(part).__name__}), which is no activation: {error}. Load a plain Vision "
            "Transformer."
        ) from error


def _resampling(module: nn.Module) -> str | None:
    """Of learned positions, where the module says it: DINOv2's own two settings, and open_clip's resize_pos_embed()."""
    if type(module).__module__.startswith("open_clip."):
        return "antialias"
    offset, antialias = (getattr(module, f"interpolate_{name}", None) for name in ("offset", "antialias"))
    if offset is None or antialias is None:
        return None
    ways = {(0.1, False): "dino", (0.0, False): "bicubic", (0.0, True): "antialias"}
    if (float(offset), bool(antialias)) not in ways:
        raise CheckpointError(
            f"its positions are resampled with interpolate_offset {offset} and interpolate_antialias {antialias}; "
            f"known here are {', '.join(map(str, ways))}. Load a model with one of these pairs."
        )
    return ways[float(offset), bool(antialias)]
