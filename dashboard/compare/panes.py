"""The panes of Compare: which can be shown now, why others cannot, and having the missing ones analysed."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.links.targets import TEXT
from dashboard.services import catalogue, downloads, limits, memory, targets
from dashboard.services.analyses import Analysis, Request
from dashboard.services.gradients import GradientRequest
from dashboard.services.maps import MapRequest
from dashboard.services.pictures import Picture
from dashboard.services.requests import Cost
from dashboard.services.tokens import TokenRequest
from dashboard.shell import download_panel
from dashboard.shell.formatting import plain, progress_in, sentence
from vit_engine import Features, Gradients, Method, ModelSpec, VitEngineError, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane, Place, query_patch
from vit_engine.analysis.methods import Attribution, Needs
from vit_engine.resources.budget import format_bytes

_FAILED = "_failed_panes"  # session state: a request's key -> why its analysis failed
_IN_A_ROW = "_fills_in_a_row"  # session state: analyses since the page last had all its panes
AnyRequest = Request | TokenRequest | GradientRequest | MapRequest
MOST_IN_A_ROW = 3 * MAX_PANES  # panes that others' analyses push out of memory again and again are given up


@dataclass(frozen=True)
class Problem:
    """Why a pane has no map: in few words, and in full.

    kind: "download", "downloading", "refused", "failed", "words" where those of its target are yet to be typed, or
    "target" where its model cannot have it.
    """

    kind: str
    brief: str
    text: str


_NO_WORDS = Problem(
    "words", "no text yet", "Type what the picture is to be similar to: in the pane's menu, under Target."
)


@dataclass(frozen=True)
class Panes:
    """Panes by their numbers: those analysed, those that cannot be shown, and those still to be analysed."""

    analyses: Mapping[int, Analysis]
    features: Mapping[int, Features]  # of the panes that show tokens
    gradients: Mapping[int, Gradients]  # of the panes whose methods read those of a target
    attributions: Mapping[int, Attribution]  # of the panes whose methods take long
    asked: Mapping[int, MapRequest]  # what the maps are made of, but for those of tokens
    missing: Mapping[int, AnyRequest]  # what a pane that is not analysed needs next
    problems: Mapping[int, Problem]
    waiting: tuple[int, ...]

    def refused(self, errors: Mapping[int, VitEngineError]) -> "Panes":
        """With these panes among those that cannot be shown."""
        analyses = {number: analysis for number, analysis in self.analyses.items() if number not in errors}
        problems = {
            number: Problem("refused", "not possible", sentence(str(error), [self.analyses[number].trace.spec.name]))
            for number, error in errors.items()
        }
        return replace(self, analyses=analyses, problems={**self.problems, **problems})


@dataclass
class _Look:
    """What is found pane by pane."""

    picture: Picture
    size: int
    specs: Mapping[str, ModelSpec]
    point: Place | None
    analyses: dict[int, Analysis] = field(default_factory=dict)
    features: dict[int, Features] = field(default_factory=dict)
    gradients: dict[int, Gradients] = field(default_factory=dict)
    attributions: dict[int, Attribution] = field(default_factory=dict)
    asked: dict[int, MapRequest] = field(default_factory=dict)
    held: dict[tuple[str, Hashable], int] = field(default_factory=dict)  # bytes by what is kept and its key

    def target_problem(self, pane: Pane) -> Problem | None:
        """What stands against a text as the target, before the model is run: no words yet, or that it reads none."""
        if not pane.target.startswith(TEXT):
            return None
        if pane.target == TEXT:
            return _NO_WORDS
        spec = self.specs[pane.model]
        if not (why := targets.why_no_text_by_name(spec.name)):
            return None
        text = f"{spec.title} reads no text as a target: {why}. Choose another target in the pane's menu."
        return Problem("target", "no text here", plain(text))

    def missing(self, number: int, pane: Pane) -> AnyRequest | None:
        """What the pane needs next; None where it has all, which is noted."""
        spec, method = self.specs[pane.model], find_method(pane.method)
        trace = Request(self.picture, spec, self.size)
        if (analysis := trace.kept) is None:
            return trace
        self._hold(trace, analysis.trace.nbytes)
        if method.needs is Needs.TOKENS:
            tokens = TokenRequest(self.picture, spec, self.size)
            if (carried := tokens.kept) is None:
                return tokens
            self._hold(tokens, carried.features.nbytes)
            self.features[number] = carried.features
        elif (more := self._of_attention(number, pane, trace, analysis)) is not None:
            return more
        self.analyses[number] = analysis
        return None

    def _of_attention(
        self, number: int, pane: Pane, trace: Request, analysis: Analysis
    ) -> GradientRequest | MapRequest | None:
        """What a pane that shows no tokens needs beside its trace."""
        method = find_method(pane.method)
        target = targets.name_of(pane.target, analysis) if "target" in method.depends_on else ""
        if method.needs.target:
            request = GradientRequest(self.picture, self.specs[pane.model], self.size, target)
            if (made := request.kept) is None:
                return request
            self._hold(request, made.gradients.nbytes)
            self.gradients[number] = made.gradients
        maps = self._maps(trace, analysis, pane, target, self.gradients.get(number))
        if takes_long(method):
            if (known := maps.kept) is None:
                return maps
            layer = pane.layer if "layer" in method.depends_on else next(iter(known))
            if layer in known:  # else the engine says why there is none, before it does anything
                self.attributions[number] = known[layer]
        self.asked[number] = maps
        return None

    def _maps(
        self, trace: Request, analysis: Analysis, pane: Pane, target: str, gradients: Gradients | None
    ) -> MapRequest:
        query = query_patch(pane.query, self.point, analysis.trace.grid, analysis.frame)
        places: dict[str, Any] = {"layer": pane.layer, "head": pane.head, "query": query, "target": target}
        method = find_method(pane.method)
        return MapRequest(trace, analysis, method, **places, options=pane.options, gradients=gradients)

    def _hold(self, request: Request | TokenRequest | GradientRequest, nbytes: int) -> None:
        self.held[request.LIMIT, request.key] = nbytes


def takes_long(method: Method) -> bool:
    """Whether a map is made in a job: of all layers' attention, or of further runs of the model."""
    several = "query" in method.depends_on and not method.per_head and method.needs is not Needs.TOKENS
    return several or method.needs is Needs.MODEL


def look(
    panes: tuple[Pane, ...], picture: Picture, size: int, specs: Mapping[str, ModelSpec], point: Place | None
) -> Panes:
    """Where each pane stands; runs nothing."""
    found = _Look(picture, size, specs, point)
    of_targets = {number: problem for number, pane in enumerate(panes) if (problem := found.target_problem(pane))}
    whole = {number: pane for number, pane in enumerate(panes) if number not in of_targets}
    missing = {number: request for number, pane in whole.items() if (request := found.missing(number, pane))}
    problems = of_targets | {
        number: problem for number, request in missing.items() if (problem := _problem(request, found.held))
    }
    waiting = tuple(number for number in missing if number not in problems)
    if not waiting:
        st.session_state[_IN_A_ROW] = 0
    kept = found.analyses, found.features, found.gradients, found.attributions, found.asked
    return Panes(*kept, missing, problems, waiting)


def _problem(request: AnyRequest, held: Mapping[tuple[str, Hashable], int]) -> Problem | None:
    """What stands against an analysis, without doing it. held: bytes of what the other panes have."""
    spec = request.spec
    if downloads.find_download(spec.name) is not None:
        return Problem("downloading", "downloading", "")
    if not catalogue.is_ready(spec):
        failure = downloads.download_failure(spec.name)
        size_words = f"{spec.title} is not here yet: about {format_bytes(memory.model_bytes(spec))}."
        return Problem("download", "not downloaded", sentence(f"{failure} {size_words}".strip(), links=True))
    failed = _failures().get(request.key)
    if failed is not None:
        return Problem("failed", "failed", sentence(failed, catalogue.screen_names(spec.name)))
    if isinstance(request, MapRequest):  # what it is made of is here
        return None
    try:
        kept = sum(size for (limit, _), size in held.items() if limit == request.LIMIT)
        refusal = _refusal(request, request.cost, kept)
    except VitEngineError as error:
        return Problem("refused", "not possible", sentence(str(error), catalogue.screen_names(spec.name)))
    return Problem("refused", "too large", f"Too large: {plain(refusal)}.") if refusal else None


def _refusal(request: Request | TokenRequest | GradientRequest, cost: Cost, kept: int) -> str:
    """Why an analysis will not run, or empty: one that does not fit beside the other panes' would push them out."""
    together, most = kept + cost.kept_bytes, getattr(limits, request.LIMIT)
    if cost.refusal or together <= most:
        return cost.refusal
    comes = "come" if request.KEPT.endswith("s") else "comes"
    words = f"with the other panes its {request.KEPT} {comes} to {format_bytes(together)}"
    return f"{words}, over the {format_bytes(most)} kept here"


def _failures() -> dict[Hashable, str]:
    return st.session_state.setdefault(_FAILED, {})


def tell(number: int, panes: Panes) -> None:
    """A problem in its pane's place, and what can be done about it."""
    problem = panes.problems[number]
    if problem.kind == "words":
        st.info(problem.text, icon=":material/edit:")
        return
    if number not in panes.missing:  # its analysis is here, and cannot be drawn, or not with this target
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
            args=(request.key,),
        )


def _forget(key: Hashable) -> None:
    _failures().pop(key, None)


def fill(request: AnyRequest, place: DeltaGenerator) -> None:
    """Have a pane analysed, its progress shown in its place; what is wrong is kept for the next look."""
    st.session_state[_IN_A_ROW] = st.session_state.get(_IN_A_ROW, 0) + 1
    if st.session_state[_IN_A_ROW] > MOST_IN_A_ROW:
        _failures()[request.key] = "other analyses on this server took its place in memory. Try again in a while."
        return
    try:
        request.analyse(progress_in(place))
    except VitEngineError as error:
        _failures()[request.key] = str(error)
