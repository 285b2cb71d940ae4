"""Whether models need what the panes show: insertion and deletion of each, measured once they are asked for."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.compare.panes import Panes, Problem
from dashboard.compare.state import Comparing
from dashboard.compare.tables import dataframe, pane_width
from dashboard.compare.texts import different_scores, pane_titles
from dashboard.links import widgets
from dashboard.services import catalogue
from dashboard.services.faithfulness import FaithfulnessRequest
from dashboard.services.maps import MapRequest
from dashboard.shell.controls import csv_button, steps_control
from dashboard.shell.formatting import format_duration, plain, progress_in, sentence
from vit_engine import VitEngineError, find_method
from vit_engine.analysis.comparison import FAITHFULNESS_COLUMNS, Comparison, faithfulness_table, letter
from vit_engine.analysis.methods import Needs
from vit_engine.trace.statistics import Column

_ASKED = "_measured_panes"  # session state: keys of the measurements that this session asked for
_FAILED = "_failed_measurements"  # session state: a measurement's key -> why it failed
_HELP = (
    "Patches are put into a blurred picture, or taken out of the picture, from each map's largest value to its "
    "smallest (RISE, Petsiuk et al. 2018, arXiv 1806.07421); an area is the mean score on the way. Beside it five "
    "random orders, and the same method's map of a model whose weights are random (Adebayo et al. 2018, arXiv "
    "1810.03292)."
)
_CURVES = {"insertion": "area of insertion · high is good", "deletion": "area of deletion · low is good"}
_OF_MAP = "this map"
Requests = Mapping[str, FaithfulnessRequest]  # by the pane's name


def requests(panes: Panes, comparison: Comparison | None, *, steps: int) -> Requests:
    """Of all panes whose maps put patches before others; those of tokens show no evidence. steps: of curves.

    Panes whose method has no target are measured by that of the other panes of their model, if these agree on one.
    """
    if comparison is None:
        return {}
    asked = {letter(number): each for number, each in panes.asked.items()}
    targets = common_targets(asked.values())
    maps = {one.name: one.map for one in comparison.results if one.name in asked and one.map.values.any()}
    return {
        name: FaithfulnessRequest(asked[name], map, steps=steps, measured_by=targets.get(asked[name].spec.name, ""))
        for name, map in maps.items()
    }


def common_targets(asked: Iterable[MapRequest]) -> dict[str, str]:
    """By the model, the target of all its panes whose method has one; without models whose panes differ in it."""
    found: dict[str, set[str]] = {}
    for each in asked:
        if "target" in each.method.depends_on:
            found.setdefault(each.spec.name, set()).add(each.target)
    return {model: next(iter(names)) for model, names in found.items() if len(names) == 1}


def left_out(asked: Requests, comparison: Comparison, problems: Mapping[int, Problem]) -> dict[str, str]:
    """Why panes are not measured, by their names: their maps put no patch before another, or there is no map."""
    why = {letter(number): f"no map ({problem.brief})" for number, problem in problems.items()}
    for one in comparison.results:
        if find_method(one.pane.method).needs is Needs.TOKENS:
            why[one.name] = "a map of tokens, which is no evidence for a score"
        elif one.name not in asked:
            why[one.name] = "its map is zero everywhere, so it puts no patch before another"
    return dict(sorted(why.items()))


def table(asked: Requests) -> pd.DataFrame | None:
    """What is measured; None where nothing is."""
    kept = {name: measured for name, request in asked.items() if (measured := request.kept) is not None}
    return faithfulness_table({name: (one.map, one.randomised) for name, one in kept.items()}) if kept else None


def show(asked: Requests, choice: Comparing, comparison: Comparison, panes: Panes) -> DeltaGenerator:
    """The table, or the button; returns the place for progress."""
    frame = table(asked)
    st.space("xsmall")  # the caption above ends without one
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown("**Faithfulness** :small[does the model need what the map shows?]", width="content", help=_HELP)
        with st.container(horizontal=True, vertical_alignment="bottom", width="content", key="pane_faithfulness"):
            steps_control(choice.steps, key=keys.COMPARE_STEPS)
            if waiting(asked) is None and (frame is None or len(frame) < len(asked)):
                _button(asked)
            if frame is not None:
                csv_button(frame, "faithfulness", key=keys.DOWNLOAD_PANES_FAITHFULNESS)
    if frame is not None:
        _table(frame, pane_titles(comparison))
        _notes(frame, left_out(asked, comparison, panes.problems))
    for name, request in asked.items():
        if (problem := _failures().get(request.key)) is not None:
            st.error(f"{name}: {sentence(problem, catalogue.screen_names(request.spec.name))}", icon=":material/error:")
    return st.empty()


def _notes(frame: pd.DataFrame, missing: Mapping[str, str]) -> None:
    """What must be known to read the table: that scores differ, and why panes are not in it."""
    if differ := different_scores(dict(zip(frame["pane"], frame["score"], strict=True))):
        st.caption(f":material/info: {plain(differ)}")
    if missing:
        st.caption("Not measured: " + "; ".join(f"{name}: {plain(why)}" for name, why in missing.items()) + ".")


def _button(asked: Requests) -> None:
    missing = [request for request in asked.values() if request.kept is None]
    try:
        seconds = sum(request.expected.seconds for request in missing)
    except VitEngineError as error:
        st.caption(sentence(str(error)))
        return
    st.button(
        f"Measure faithfulness · about {format_duration(seconds)}",
        key=keys.MEASURE_PANES,
        icon=":material/play_arrow:",
        on_click=widgets.take,
        args=(_ask, [request.key for request in missing]),
        help=_HELP,
    )


def _ask(measurements: list[Hashable]) -> dict[str, Any]:
    for key in measurements:
        _failures().pop(key, None)
    return {_ASKED: frozenset(measurements)}


def _failures() -> dict[Hashable, str]:
    return st.session_state.setdefault(_FAILED, {})


def waiting(asked: Requests) -> str | None:
    """The name of the next pane that was asked for and is not measured; None where there is none."""
    wanted: frozenset[Hashable] = st.session_state.get(_ASKED, frozenset())
    missing = (name for name, each in asked.items() if each.key in wanted and each.key not in _failures())
    return next((name for name in missing if asked[name].kept is None), None)


def measure(request: FaithfulnessRequest, title: str, place: DeltaGenerator) -> None:
    """With its progress shown in its place; what is wrong is kept for the next look. title: of the pane."""
    shown = progress_in(place)
    try:
        request.analyse(lambda fraction, message: shown(fraction, f"pane {title}: {message}"))
    except VitEngineError as error:
        _failures()[request.key] = str(error)


def _table(frame: pd.DataFrame, titles: Mapping[str, str]) -> None:
    """Under each curve's name its areas; means of random orders with their spreads in one column."""
    columns = {column.name: column for column in FAITHFULNESS_COLUMNS}
    shown = frame.assign(pane=frame["pane"].map(titles))
    for name in _CURVES:
        mean, spread = shown[f"random_{name}_mean"], shown.pop(f"random_{name}_std")
        shown[f"random_{name}_mean"] = [f"{each:.3f} ± {std:.3f}" for each, std in zip(mean, spread, strict=True)]
    config = {place: _column(columns[name]) for place, name in enumerate(map(str, shown), start=1)}  # 0 is the index
    config[1]["width"] = pane_width(titles)
    heads = [_heads(columns[str(name)]) for name in shown]
    grouped = shown.set_axis(pd.MultiIndex.from_tuples(heads), axis=1)
    dataframe(grouped, key=keys.PANES_FAITHFULNESS, config=config, height="content")


def _heads(column: Column) -> tuple[str, str]:
    """The curve that a column is of, and its title under it."""
    curve = next((name for name in _CURVES if name in column.name), "")
    return (_CURVES[curve], _OF_MAP if column.name == curve else column.title) if curve else ("", column.title)


def _column(column: Column) -> Any:
    if column.name in ("pane", "score"):
        return st.column_config.TextColumn(help=column.description, width=180)
    if column.name.endswith("_mean"):
        return st.column_config.TextColumn(help=column.description, width=110)
    width = 120 if column.name.startswith("randomised") else 90
    return st.column_config.NumberColumn(help=column.description, format="%.3f", width=width)
