"""The table of all models, a part of the page Models."""

from functools import partial

import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.services import analyses, catalogue, limits, memory
from dashboard.services.catalogue import Model
from dashboard.shell.controls import segments
from vit_engine.resources.budget import format_bytes

_SHOW_TITLES = {"all": "All", "ready": "Ready", "memory": "In memory"}


def memory_meter() -> None:
    held, bound = memory.in_memory(), limits.MODEL_BYTES
    used = sum(one.nbytes for one in held.values())
    models = f"{len(held)} model{'s'[: len(held) != 1]}, {format_bytes(used)} of {format_bytes(bound)}"
    traces = f"{format_bytes(analyses.trace_bytes())} of {format_bytes(limits.TRACE_BYTES)}"
    st.progress(min(used / bound, 1.0), text=f"In memory: {models} · analyses, {traces}", width=460)


def show() -> None:
    words, which = _filters()
    models = [model for model in catalogue.table() if _matches(model, words, which)]
    if not models:
        st.info(_nothing(words, which), icon=":material/search_off:")
        return
    names = [model.spec.name for model in models]
    if len(names) == 1:  # found: no need to click it
        st.session_state[keys.SHOWN_MODEL] = names[0]
    st.dataframe(
        pd.DataFrame([_row(model) for model in models]),
        key=keys.MODELS_TABLE,
        on_select=partial(_choose_row, names),
        selection_mode="single-cell",
        hide_index=True,
        height=min(len(models) + 1, 11) * 35 + 3,
        column_config=_COLUMNS,
        placeholder="–",
    )


def _filters() -> tuple[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search",
            key=keys.MODELS_SEARCH,
            placeholder="Search: dinov2 registers, CC-BY …",
            icon=":material/search:",
            label_visibility="collapsed",
            width=320,
            persist_state="session",
        )
        return words or "", segments("Show", _SHOW_TITLES, key=keys.MODELS_SHOW, default="all", collapsed=True)


def _nothing(words: str, which: str) -> str:
    if words:
        return "No model has all of these words in its title, name, family or licence."
    return "No model is in memory: each is loaded when it is first used." if which == "memory" else "No model is here."


def _matches(model: Model, words: str, which: str) -> bool:
    spec, is_shown = model.spec, {"all": True, "ready": model.ready, "memory": model.held is not None}[which]
    text = f"{spec.title} {spec.name} {spec.family} {spec.licence}".lower()
    return is_shown and all(word in text for word in words.lower().split())


def _row(model: Model) -> dict[str, object]:
    spec = model.spec
    return {
        "model": spec.title,
        "status": status(model),
        "family": spec.family,
        "patch": spec.patch_size,
        "parameters": spec.parameter_count / 1e6,
        "disk": model.disk_bytes / 1e6 if model.disk_bytes and model.ready else None,
        "licence": spec.licence or "–",
    }


_COLUMNS = {
    "model": st.column_config.TextColumn("Model", width=230, pinned=True, help="A click opens its details below."),
    "status": st.column_config.TextColumn("Status", width=210),
    "family": st.column_config.TextColumn("Family", width=95),
    "patch": st.column_config.NumberColumn("Patch", format="%d px", width=65),
    "parameters": st.column_config.NumberColumn("Parameters", format="%.1f M", width=100),
    "disk": st.column_config.NumberColumn("On disk", format="%.1f MB", width=90, help="Its weight file."),
    "licence": st.column_config.TextColumn("Licence", width=120, help="Of the weights."),
}
_ORIGINS = {
    "random": "random weights",
    "file": "your folder",
    "upload": "uploaded",
    "hf": "Hugging Face",
}  # others are called as they are


def status(model: Model) -> str:
    """Where a model stands, in a few words."""
    if model.held is not None:
        return f"● in memory · {format_bytes(model.held.nbytes)} · {model.held.device}"
    if model.download is not None:
        return "… downloading"
    if model.ready:
        return f"✓ ready · {_ORIGINS.get(model.origin, model.origin)}"
    if model.failure:
        return "✕ download failed"
    here = f"{format_bytes(model.part_bytes)} of" if model.part_bytes else "not here ·"
    return f"↓ {here} about {format_bytes(model.disk_bytes)}"


def _choose_row(names: list[str]) -> None:
    """names: of the models on the screen."""
    cells = st.session_state[keys.MODELS_TABLE]["selection"]["cells"]
    if cells:
        st.session_state[keys.SHOWN_MODEL] = names[cells[0][0]]
