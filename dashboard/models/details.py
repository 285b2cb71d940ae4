"""One model in detail, a part of the page Models: what it is, its download, its load report."""

from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.models import load_report, model_facts
from dashboard.models.table import status
from dashboard.services import catalogue, memory
from dashboard.services.catalogue import Model
from dashboard.services.checkpoints import user_models
from dashboard.shell import download_panel, opening, page_state
from dashboard.shell.controls import button
from dashboard.shell.formatting import plain, sentence
from vit_engine.resources.budget import format_bytes


def show(model: Model | None) -> None:
    """The details and what can be done; nothing where the model has just gone."""
    if model is None:
        return
    with st.container(border=True, key="model_details"):
        colour = "green" if model.held else "blue" if model.ready else "orange" if model.download else "gray"
        st.markdown(f"##### {plain(model.spec.title)} :{colour}-badge[{plain(status(model))}]")
        st.caption(plain(model.spec.description))
        _buttons(model)
        if model.download is not None:
            download_panel.progress(model.spec.name)
        elif model.failure and not model.ready:
            st.error(sentence(model.failure, links=True), icon=":material/cloud_off:")
        model_facts.show([*model_facts.of_spec(model.spec), *_file(model)])
        report = memory.load_report(model.spec.name)
        if report is not None:
            with st.expander("Load report", icon=":material/fact_check:"):
                load_report.show(report, model.spec, key=keys.LOAD_REPORT, download_key=keys.DOWNLOAD_REPORT)


def _buttons(model: Model) -> None:
    name = model.spec.name
    with st.container(horizontal=True):
        if model.ready:
            open_button(name, key=keys.OPEN_MODEL)
        elif model.download is None:
            download_panel.button(model)
        if model.held is not None:
            st.button(
                f"Unload · frees {format_bytes(model.held.nbytes)}",
                key=keys.UNLOAD_MODEL,
                on_click=_unload,
                args=(name,),
                icon=":material/eject:",
                help="Out of memory. It is loaded again when it is next used.",
            )
        if catalogue.is_own(name):
            st.button(
                "Remove",
                key=keys.REMOVE_MODEL,
                on_click=_remove,
                args=(name,),
                icon=":material/close:",
                help="No longer among the models. The file stays where it is.",
            )


def open_button(name: str, *, key: str) -> None:
    take: dict[str, Any] = {"on_click": widgets.take, "args": (dict, {keys.MODEL: name})}
    if button("Open in Explore", key=key, made_for=name, icon=":material/blur_on:", type="primary", **take):
        page_state.leave_for(opening.EXPLORE)


def _unload(name: str) -> None:
    freed = memory.unload(name)
    st.toast(f"Unloaded: {format_bytes(freed)} of memory are free again.", icon=":material/eject:")


def _remove(name: str) -> None:
    memory.unload(name)
    user_models.remove(name)


def _file(model: Model) -> list[tuple[str, str]]:
    weights = model.spec.weights
    source = weights.source or "comes with this program" if weights else ""
    unknown = "not published: recorded when the file first comes" if weights else ""
    return [
        ("Licence", model.spec.licence),
        ("Source", source),
        ("sha256", f"{model.sha256} {model.sha256_source}".strip() if model.sha256 else unknown),
        ("On disk", format_bytes(model.disk_bytes) if model.ready and model.disk_bytes else ""),
    ]
