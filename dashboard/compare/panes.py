"""The panes of Compare: which can be shown now, why others cannot, and having the missing ones analysed."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.services import catalogue, downloads, limits, memory
from dashboard.services.analyses import Analysis, Request
from dashboard.services.pictures import Picture
from dashboard.services.requests import Cost
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
    """What is asked for in each pane; by their numbers those analysed, those that cannot be, those still to be."""

    requests: tuple[Request, ...]
    analyses: Mapping[int, Analysis]
    problems: Mapping[int, Problem]
    waiting: tuple[int, ...]


def look(panes: tuple[Pane, ...], picture: Picture, size: int, specs: Mapping[str, ModelSpec]) -> Panes:
    """Where each pane stands; runs nothing."""
    requests = tuple(Request(picture, specs[pane.model], size) for pane in panes)
    looked = {number: request.kept for number, request in enumerate(requests)}
    analyses = {number: analysis for number, analysis in looked.items() if analysis is not None}
    kept = sum({panes[number].model: analysis.trace.nbytes for number, analysis in analyses.items()}.values())
    missing = [number for number in range(len(panes)) if number not in analyses]
    problems = {number: problem for number in missing if (problem := _problem(requests[number], kept))}
    waiting = tuple(number for number in missing if number not in problems)
    if not waiting:
        st.session_state[_IN_A_ROW] = 0
    return Panes(requests, analyses, problems, waiting)


def _problem(request: Request, kept: int) -> Problem | None:
    """What stands against an analysis, without doing it. kept: bytes of the traces of the panes that are analysed."""
    spec = request.spec
    if downloads.find_download(spec.name) is not None:
        return Problem("downloading", "downloading", "")
    if not catalogue.is_ready(spec):
        failure = downloads.download_failure(spec.name)
        size_words = f"{spec.title} is not here yet: about {format_bytes(memory.model_bytes(spec))}."
        return Problem("download", "not downloaded", sentence(f"{failure} {size_words}".strip(), links=True))
    failed = _failures().get(_key(request))
    if failed is not None:
        return Problem("failed", "failed", sentence(failed, catalogue.screen_names(spec.name)))
    try:
        refusal = _refusal(request.cost, kept)
    except VitEngineError as error:
        return Problem("refused", "not possible", sentence(str(error), catalogue.screen_names(spec.name)))
    return Problem("refused", "too large", f"Too large: {plain(refusal)}.") if refusal else None


def _refusal(cost: Cost, kept: int) -> str:
    """Why an analysis will not run, or empty: one that does not fit beside the other panes' would push them out."""
    together, most = kept + cost.kept_bytes, limits.TRACE_BYTES
    if cost.refusal or together <= most:
        return cost.refusal
    return f"with the other panes its trace comes to {format_bytes(together)}, over the {format_bytes(most)} kept here"


def _failures() -> dict[tuple[str, str, int], str]:
    return st.session_state.setdefault(_FAILED, {})


def _key(request: Request) -> tuple[str, str, int]:
    return request.picture.sha256, request.spec.name, request.size


def tell(number: int, panes: Panes) -> None:
    """A problem in its pane's place, and what can be done about it."""
    problem, request = panes.problems[number], panes.requests[number]
    spec = request.spec
    if problem.kind == "downloading":
        download_panel.progress(spec.name, cancel="")  # two panes may wait for the same one
        return
    if problem.kind == "download":
        failed = downloads.download_failure(spec.name)
        show = st.error if failed else st.info
        show(problem.text, icon=":material/cloud_off:" if failed else ":material/download:")
        st.button(
            "Try again" if failed else "Download",
            key=keys.of_pane(keys.PANE_DOWNLOAD, number),
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
            key=keys.of_pane(keys.PANE_RETRY, number),
            icon=":material/refresh:",
            on_click=_forget,
            args=(_key(request),),
        )


def _forget(key: tuple[str, str, int]) -> None:
    _failures().pop(key, None)


def fill(request: Request, place: DeltaGenerator) -> None:
    """Have a pane analysed, its progress shown in its place; what is wrong is kept for the next look."""
    st.session_state[_IN_A_ROW] = st.session_state.get(_IN_A_ROW, 0) + 1
    if st.session_state[_IN_A_ROW] > MOST_IN_A_ROW:
        _failures()[_key(request)] = "other analyses on this server took its place in memory. Try again in a while."
        return
    try:
        request.analyse(progress_in(place))
    except VitEngineError as error:
        _failures()[_key(request)] = str(error)
