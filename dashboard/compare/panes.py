"""The panes of Compare: which can be shown now, why others cannot, and having the missing ones analysed."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import catalogue, downloads, limits, memory
from dashboard.services.analyses import Analysis, Cost, Request
from dashboard.services.pictures import Picture
from dashboard.shell import download_panel
from dashboard.shell.formatting import plain, progress_in, sentence
from vit_engine import ModelSpec, VitEngineError
from vit_engine.analysis.comparison import MAX_PANES, Pane
from vit_engine.resources.budget import format_bytes

_FAILED = "_failed_panes"  # session state: (picture, model, size) -> why its analysis failed
_IN_A_ROW = "_fills_in_a_row"  # session state: analyses since the page last had all its panes
MOST_IN_A_ROW = 2 * MAX_PANES  # panes that others' analyses push out of memory again and again are given up


@dataclass(frozen=True)
class Problem:
    """Why a pane has no map: in few words, and in full. kind: "download", "downloading", "refused" or "failed"."""

    kind: str
    brief: str
    text: str


@dataclass(frozen=True)
class Panes:
    """The panes of a picture at a short side, by number: those analysed, those that cannot be, those still to be."""

    picture: Picture
    size: int
    analyses: Mapping[int, Analysis]
    problems: Mapping[int, Problem]
    waiting: tuple[int, ...]


def look(panes: tuple[Pane, ...], picture: Picture, size: int, specs: Mapping[str, ModelSpec]) -> Panes:
    """Where each pane stands; runs nothing."""
    analyses: dict[int, Analysis] = {}
    for number, pane in enumerate(panes):
        analysis = Request(picture, specs[pane.model], size).kept
        if analysis is not None:
            analyses[number] = analysis
    kept = sum({panes[number].model: analysis.trace.nbytes for number, analysis in analyses.items()}.values())
    problems = {
        number: problem
        for number, pane in enumerate(panes)
        if number not in analyses and (problem := _problem(Request(picture, specs[pane.model], size), kept)) is not None
    }
    waiting = tuple(number for number in range(len(panes)) if number not in analyses and number not in problems)
    if not waiting:
        st.session_state[_IN_A_ROW] = 0
    return Panes(picture, size, analyses, problems, waiting)


def _problem(request: Request, kept: int) -> Problem | None:
    """What stands against an analysis, as far as is known without doing it.

    kept: bytes of the traces of the panes that are analysed.
    """
    spec = request.spec
    if downloads.find_download(spec.name) is not None:
        return Problem("downloading", "downloading", "")
    if not catalogue.is_ready(spec):
        failure = downloads.download_failure(spec.name)
        size_words = f"{spec.title} is not here yet: about {format_bytes(memory.model_bytes(spec))}."
        return Problem("download", "not downloaded", sentence(f"{failure} {size_words}".strip(), links=True))
    failed = _failures().get((request.picture.sha256, spec.name, request.size))
    if failed is not None:
        return Problem("failed", "failed", sentence(failed, catalogue.screen_names(spec.name)))
    try:
        refusal = _refusal(request.cost, kept)
    except VitEngineError as error:
        return Problem("refused", "not possible", sentence(str(error), catalogue.screen_names(spec.name)))
    return Problem("refused", "too large", f"Too large: {plain(refusal)}.") if refusal else None


def _refusal(cost: Cost, kept: int) -> str:
    """Why an analysis will not run, or empty. One that does not fit beside those of the other panes would push them
    out, and they it, without an end.
    """
    together, most = kept + cost.kept_bytes, limits.TRACE_BYTES
    if cost.refusal or together <= most:
        return cost.refusal
    over = f"over the {format_bytes(most)} kept here"
    return f"with the other panes its trace comes to {format_bytes(together)}, {over}"


def _failures() -> dict[tuple[str, str, int], str]:
    return st.session_state.setdefault(_FAILED, {})


def tell(number: int, panes: Panes, spec: ModelSpec) -> None:
    """A problem in its pane's place, and what can be done about it."""
    problem = panes.problems[number]
    if problem.kind == "downloading":
        download_panel.progress(spec.name, cancel=False)  # two panes may wait for the same one
        return
    if problem.kind == "download":
        failed = downloads.download_failure(spec.name)
        show = st.error if failed else st.info
        show(problem.text, icon=":material/cloud_off:" if failed else ":material/download:")
        st.button(
            "Try again" if failed else "Download",
            key=of_pane(keys.PANE_DOWNLOAD, number),
            icon=":material/download:",
            on_click=downloads.start_download,
            args=(spec,),
            help="In the background; the other panes stay.",
        )
        return
    st.error(problem.text, icon=":material/error:")
    if problem.kind == "failed":
        st.button(
            "Try again",
            key=of_pane(keys.PANE_RETRY, number),
            icon=":material/refresh:",
            on_click=_forget,
            args=((panes.picture.sha256, spec.name, panes.size),),
        )


def _forget(key: tuple[str, str, int]) -> None:
    _failures().pop(key, None)


def fill(spec: ModelSpec, panes: Panes, place: DeltaGenerator) -> None:
    """Have a pane of this model analysed, its progress shown in its place; what is wrong is kept for the next look."""
    key = panes.picture.sha256, spec.name, panes.size
    st.session_state[_IN_A_ROW] = st.session_state.get(_IN_A_ROW, 0) + 1
    if st.session_state[_IN_A_ROW] > MOST_IN_A_ROW:
        _failures()[key] = "other analyses on this server took its place in memory. Try again in a while."
        return
    try:
        Request(panes.picture, spec, panes.size).analyse(progress_in(place))
    except VitEngineError as error:
        _failures()[key] = str(error)
