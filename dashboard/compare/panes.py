"""The panes of Compare: which can be shown now, why others cannot, and having the missing ones analysed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.services import catalogue, downloads, limits, memory
from dashboard.services.analyses import Analysis, Request
from dashboard.services.pictures import Picture
from dashboard.services.requests import Cost
from dashboard.services.tokens import TokenRequest
from dashboard.shell import download_panel
from dashboard.shell.formatting import plain, progress_in, sentence
from vit_engine import Features, ModelSpec, SpecError, VitEngineError, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane
from vit_engine.analysis.methods import Needs
from vit_engine.resources.budget import format_bytes

_FAILED = "_failed_panes"  # session state: (picture, model, size, what of it) -> why its analysis failed
_IN_A_ROW = "_fills_in_a_row"  # session state: analyses since the page last had all its panes
AnyRequest = Request | TokenRequest
_Key = tuple[str, str, int, str]
MOST_IN_A_ROW = 2 * MAX_PANES  # panes that others' analyses push out of memory again and again are given up


@dataclass(frozen=True)
class Problem:
    """Why a pane has no map: in few words, and in full. kind: "download", "downloading", "refused" or "failed"."""

    kind: str
    brief: str
    text: str


@dataclass(frozen=True)
class Panes:
    """Panes by their numbers: those analysed, those that cannot be shown, and those still to be analysed."""

    analyses: Mapping[int, Analysis]
    features: Mapping[int, Features]  # of the panes that show tokens
    missing: Mapping[int, AnyRequest]  # what a pane that is not analysed needs next
    problems: Mapping[int, Problem]
    waiting: tuple[int, ...]

    def refused(self, errors: Mapping[int, SpecError]) -> "Panes":
        """With these panes among those that cannot be shown."""
        analyses = {number: analysis for number, analysis in self.analyses.items() if number not in errors}
        problems = {
            number: Problem("refused", "not possible", sentence(str(error), [self.analyses[number].trace.spec.name]))
            for number, error in errors.items()
        }
        return replace(self, analyses=analyses, problems={**self.problems, **problems})


def look(panes: tuple[Pane, ...], picture: Picture, size: int, specs: Mapping[str, ModelSpec]) -> Panes:
    """Where each pane stands; runs nothing."""
    analyses: dict[int, Analysis] = {}
    features: dict[int, Features] = {}
    missing: dict[int, AnyRequest] = {}
    held: dict[tuple[str, str], int] = {}  # bytes by what is kept and the model
    for number, pane in enumerate(panes):
        trace = Request(picture, specs[pane.model], size)
        tokens = TokenRequest(picture, specs[pane.model], size) if _shows_tokens(pane) else None
        if (analysis := trace.kept) is None:
            missing[number] = trace
            continue
        held[trace.LIMIT, pane.model] = analysis.trace.nbytes
        if tokens is not None:
            if (carried := tokens.kept) is None:
                missing[number] = tokens
                continue
            held[tokens.LIMIT, pane.model] = carried.features.nbytes
            features[number] = carried.features
        analyses[number] = analysis
    problems = {number: problem for number, request in missing.items() if (problem := _problem(request, held))}
    waiting = tuple(number for number in missing if number not in problems)
    if not waiting:
        st.session_state[_IN_A_ROW] = 0
    return Panes(analyses, features, missing, problems, waiting)


def _shows_tokens(pane: Pane) -> bool:
    return find_method(pane.method).needs is Needs.TOKENS


def _problem(request: AnyRequest, held: Mapping[tuple[str, str], int]) -> Problem | None:
    """What stands against an analysis, without doing it. held: bytes of what the other panes have."""
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
        kept = sum(size for (limit, _), size in held.items() if limit == request.LIMIT)
        refusal = _refusal(request, request.cost, kept)
    except VitEngineError as error:
        return Problem("refused", "not possible", sentence(str(error), catalogue.screen_names(spec.name)))
    return Problem("refused", "too large", f"Too large: {plain(refusal)}.") if refusal else None


def _refusal(request: AnyRequest, cost: Cost, kept: int) -> str:
    """Why an analysis will not run, or empty: one that does not fit beside the other panes' would push them out."""
    together, most = kept + cost.kept_bytes, getattr(limits, request.LIMIT)
    if cost.refusal or together <= most:
        return cost.refusal
    comes = "come" if request.KEPT.endswith("s") else "comes"
    words = f"with the other panes its {request.KEPT} {comes} to {format_bytes(together)}"
    return f"{words}, over the {format_bytes(most)} kept here"


def _failures() -> dict[_Key, str]:
    return st.session_state.setdefault(_FAILED, {})


def _key(request: AnyRequest) -> _Key:
    return request.picture.sha256, request.spec.name, request.size, request.KEPT


def tell(number: int, panes: Panes) -> None:
    """A problem in its pane's place, and what can be done about it."""
    problem = panes.problems[number]
    if number not in panes.missing:  # its analysis is here, and cannot be drawn
        st.error(problem.text, icon=":material/error:")
        return
    request = panes.missing[number]
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


def _forget(key: _Key) -> None:
    _failures().pop(key, None)


def fill(request: AnyRequest, place: DeltaGenerator) -> None:
    """Have a pane analysed, its progress shown in its place; what is wrong is kept for the next look."""
    st.session_state[_IN_A_ROW] = st.session_state.get(_IN_A_ROW, 0) + 1
    if st.session_state[_IN_A_ROW] > MOST_IN_A_ROW:
        _failures()[_key(request)] = "other analyses on this server took its place in memory. Try again in a while."
        return
    try:
        request.analyse(progress_in(place))
    except VitEngineError as error:
        _failures()[_key(request)] = str(error)
