"""Whether models need what the panes show: insertion and deletion of each, measured once they are asked for."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.compare.panes import Panes
from dashboard.compare.state import Comparing
from dashboard.compare.tables import dataframe
from dashboard.links import widgets
from dashboard.services import catalogue
from dashboard.services.faithfulness import FaithfulnessRequest
from dashboard.shell.controls import csv_button, steps_control
from dashboard.shell.formatting import format_duration, progress_in, sentence
from vit_engine import VitEngineError
from vit_engine.analysis.comparison import FAITHFULNESS_COLUMNS, Comparison, faithfulness_table, letter
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
    """Of all panes whose maps put patches before others; those of tokens show no evidence. steps: of curves."""
    if comparison is None:
        return {}
    numbers = {letter(number): asked for number, asked in panes.asked.items()}
    shown = [one for one in comparison.results if one.name in numbers and one.map.values.any()]
    return {one.name: FaithfulnessRequest(numbers[one.name], one.map, steps=steps) for one in shown}


def table(asked: Requests) -> pd.DataFrame | None:
    """What is measured; None where nothing is."""
    kept = {name: measured for name, request in asked.items() if (measured := request.kept) is not None}
    return faithfulness_table({name: (one.map, one.randomised) for name, one in kept.items()}) if kept else None


def show(asked: Requests, choice: Comparing) -> DeltaGenerator:
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
        _table(frame)
    for name, request in asked.items():
        if (problem := _failures().get(request.key)) is not None:
            st.error(f"{name}: {sentence(problem, catalogue.screen_names(request.spec.name))}", icon=":material/error:")
    return st.empty()


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


def waiting(asked: Requests) -> FaithfulnessRequest | None:
    """The next one that was asked for and is not measured; None where there is none."""
    wanted: frozenset[Hashable] = st.session_state.get(_ASKED, frozenset())
    missing = (each for each in asked.values() if each.key in wanted and each.key not in _failures())
    return next((each for each in missing if each.kept is None), None)


def measure(request: FaithfulnessRequest, place: DeltaGenerator) -> None:
    """With its progress shown in its place; what is wrong is kept for the next look."""
    try:
        request.analyse(progress_in(place))
    except VitEngineError as error:
        _failures()[request.key] = str(error)


def _table(frame: pd.DataFrame) -> None:
    """Under each curve's name its areas; means of random orders with their spreads in one column."""
    columns = {column.name: column for column in FAITHFULNESS_COLUMNS}
    shown = frame.copy()
    for name in _CURVES:
        mean, spread = shown[f"random_{name}_mean"], shown.pop(f"random_{name}_std")
        shown[f"random_{name}_mean"] = [f"{each:.3f} ± {std:.3f}" for each, std in zip(mean, spread, strict=True)]
    config = {place: _column(columns[name]) for place, name in enumerate(map(str, shown), start=1)}  # 0 is the index
    heads = [_heads(columns[str(name)]) for name in shown]
    grouped = shown.set_axis(pd.MultiIndex.from_tuples(heads), axis=1)
    dataframe(grouped, key=keys.PANES_FAITHFULNESS, config=config, height="content")


def _heads(column: Column) -> tuple[str, str]:
    """The curve that a column is of, and its title under it."""
    curve = next((name for name in _CURVES if name in column.name), "")
    return (_CURVES[curve], _OF_MAP if column.name == curve else column.title) if curve else ("", column.title)


def _column(column: Column) -> Any:
    if column.name in ("pane", "score"):
        return st.column_config.TextColumn(help=column.description, width=50 if column.name == "pane" else 180)
    if column.name.endswith("_mean"):
        return st.column_config.TextColumn(help=column.description, width=110)
    width = 130 if column.name.startswith("randomised") else 90
    return st.column_config.NumberColumn(help=column.description, format="%.3f", width=width)
