"""A model's facts as a list of names and values, for the page Models."""

from collections.abc import Iterable
from html import escape

import streamlit as st

from dashboard.services.memory import model_bytes
from vit_engine import ModelSpec
from vit_engine.resources.budget import format_bytes
from vit_engine.spec import RESAMPLINGS


def show(facts: Iterable[tuple[str, str]]) -> None:
    """Two columns, or one below the other where it is narrow; values are shown as they are."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts if value)
    st.html(f'<dl class="facts">{rows}</dl>')


def of_spec(spec: ModelSpec, *, heads: bool = True) -> list[tuple[str, str]]:
    """What a model is made of. heads: whether anybody says how many there are."""
    tokens = ["CLS"]
    tokens += ["distillation token"] if spec.distilled else []
    tokens += [f"{spec.registers} registers"] if spec.registers else []
    count, memory = spec.heads if heads else "?", format_bytes(model_bytes(spec))
    return [
        ("Architecture", f"{spec.depth} layers × {count} heads · {spec.dim} dimensions · MLP {spec.mlp}"),
        ("Size", f"{spec.parameter_count / 1e6:,.1f} M parameters · {memory} in memory"),
        ("Tokens", " + ".join([*tokens, f"patches of {spec.patch_size} px"])),
        ("Positions", _positions(spec)),
        ("Pictures", _pictures(spec)),
        ("Classes", f"{len(spec.class_names):,}" if spec.class_names else "none"),
    ]


def _positions(spec: ModelSpec) -> str:
    if spec.positions != "learned":
        return "rotary: computed for every size"
    height, width = spec.native_size
    rows, cols = spec.grid(height, width).shape
    return f"learned at {height}×{width} px, {rows}×{cols} patches; other sizes: {RESAMPLINGS[spec.resampling]}"


def _pictures(spec: ModelSpec) -> str:
    """How pictures are brought to what the model was trained on."""
    wants = spec.preprocessing
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (wants.mean, wants.std))
    return f"{wants.interpolation} · mean {mean} · std {std}"
