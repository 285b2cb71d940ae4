"""A model's facts as a list of names and values, for the page Models."""

from collections.abc import Iterable
from html import escape

import streamlit as st

from vit_engine import ModelSpec


def show(facts: Iterable[tuple[str, str]]) -> None:
    """Two columns, or one below the other where it is narrow; values are shown as they are."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts if value)
    st.html(f'<dl class="facts">{rows}</dl>')


def of_spec(spec: ModelSpec) -> list[tuple[str, str]]:
    """What a model is made of."""
    height, width = spec.native_size
    grid = spec.grid(height, width)
    others = [f"{spec.registers} registers"] if spec.registers else []
    others = [*(["distillation token"] if spec.distilled else []), *others]
    learned = spec.positions == "learned"
    return [
        ("Architecture", f"{spec.depth} layers × {spec.heads} heads · {spec.dim} dimensions · {spec.mlp} MLP"),
        (
            "Size",
            f"{spec.parameter_count / 1e6:,.1f} M parameters · {4 * spec.parameter_count / 1e6:,.0f} MB in memory",
        ),
        ("Tokens", " + ".join(["CLS", *others, f"patches of {spec.patch_size} px"])),
        (
            "Positions",
            f"learned for {height}×{width} px, {grid.rows}×{grid.cols} patches; resampled as {spec.resampling}"
            if learned
            else "rotary",
        ),
        ("Classes", f"{len(spec.class_names):,}" if spec.class_names else "none"),
    ]
