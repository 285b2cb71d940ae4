"""A statistic of all heads, as a map and by depth: parts of the page Heads."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.heads.figures import Profile, profile_figure, statistic_figure
from dashboard.heads.state import MAX_OVERLAY, HeadsView, compares
from dashboard.links.selection import Selection
from dashboard.services import catalogue
from dashboard.services.analyses import Analysis, Request
from dashboard.services.heads import analyse_too
from dashboard.shell import analysis_panel, clicks, controls, opening, sidebar
from dashboard.shell.formatting import plain, progress_in, titled
from vit_engine import ModelSpec, VitEngineError
from vit_engine.trace.statistics import STATISTICS, Column

_PROFILE_TITLES = {"statistic": "This statistic", "entropy": "Entropy", "distance": "Attention distance"}
_ROW, _MOST = 44, 620  # pixels: of a layer in the map, of all layers at most


def show_map(analysis: Analysis, selection: Selection) -> None:
    """The layers × heads map of the chosen statistic; a click opens that head in Explore."""
    st.markdown("**Layers × heads** :small[click to open a head in Explore]")
    column = _statistic()
    st.caption(plain(column.description))
    profile = _profile(analysis, column.name)
    depth, heads = profile.values.shape
    figure = statistic_figure(
        profile.values,
        layers=profile.layers,
        title=column.title,
        unit=column.unit,
        colours=sidebar.colours(),
        selected=(depth - 1 if selection.layer is None else selection.layer, selection.one_head),
    )
    if heads > 6:  # on a telephone their cells have no room for numbers
        st.html("<style>@media (max-width: 640px) { .st-key-statistic_map .heatmap-label { display: none; } }</style>")
    height, alt = 48 + min(max(_ROW * depth, 3 * _ROW), _MOST), f"{column.title} of every head"
    clicks.listen(keys.STATISTIC_MAP, partial(_open, profile.layers, heads))
    st.plotly_chart(figure, key=keys.STATISTIC_MAP, config=analysis_panel.CHART, height=height, alt=alt)
    frame, name = _frame(analysis, column.name), f"{column.name}-{analysis.trace.spec.name}"
    controls.csv_button(frame, name, key=keys.DOWNLOAD_STATISTIC, help="One row a head.", later=True)


def _statistic() -> Column:
    name = controls.selectbox(
        "Statistic",
        list(STATISTICS),
        key=keys.HEADS_STATISTIC,
        format_func=lambda option: titled(STATISTICS[option]),
        label_visibility="collapsed",
    )
    return STATISTICS[name]


def _open(layers: tuple[int, ...], heads: int, *, x: float, y: float) -> dict[str, object]:
    row, head = cell_at(x, y, rows=len(layers), cols=heads)
    return opening.choose(layers[row], head)


def show_profile(request: Request, analysis: Analysis, view: HeadsView) -> None:
    """The statistic by depth, of the model in use and of those laid over it, which are analysed one after another."""
    column = STATISTICS[view.profiled]
    st.markdown("**Profile by depth** :small[a dot a head, the line is their mean]")
    controls.segments("Profile", _PROFILE_TITLES, key=keys.HEADS_PROFILE, collapsed=True, wrap=True)
    _overlay(analysis.trace.spec)
    st.caption(plain(column.description))
    bar, drawn, notices = st.empty(), st.container(), st.container()
    analyses = {analysis.trace.spec.name: analysis, **_others(request, view, bar, notices)}
    profiles = [_profile(one, column.name) for one in analyses.values()]
    figure = profile_figure(profiles, title=column.title, unit=column.unit)
    alt = f"{column.title} of every head by layer"
    drawn.plotly_chart(figure, key=keys.PROFILE, height=400, config=analysis_panel.CHART, alt=alt)
    with notices:
        _comparability(column, analyses)
        frames = {name: _frame(one, column.name) for name, one in analyses.items()}
        frame = pd.concat(frames, names=["model"]).reset_index("model")
        controls.csv_button(
            frame, f"profile-{column.name}", key=keys.DOWNLOAD_PROFILE, help="One row a head.", later=True
        )


def _overlay(spec: ModelSpec) -> None:
    specs = catalogue.models()
    st.multiselect(
        "Models beside it",
        [name for name in specs if name != spec.name],
        key=keys.HEADS_OVERLAY,
        format_func=lambda name: specs[name].title,
        max_selections=MAX_OVERLAY,
        persist_state="session",
        placeholder="Overlay other models on the same picture",
        label_visibility="collapsed",
        wrap=True,
    )


def _others(request: Request, view: HeadsView, bar: DeltaGenerator, notices: DeltaGenerator) -> dict[str, Analysis]:
    """The picture in the models to overlay; of one that fails the reason is shown, and the others stay."""
    found: dict[str, Analysis] = {}
    specs = catalogue.models()
    for name in view.overlay:
        try:
            found[name] = analyse_too(replace(request, spec=specs[name]), progress_in(bar))
        except VitEngineError as error:
            reason = analysis_panel.reason(error, name)
            notices.warning(f"{plain(specs[name].title)}: {reason}", icon=":material/layers_clear:")
    bar.empty()
    return found


def _frame(analysis: Analysis, statistic: str) -> pd.DataFrame:
    """One row a head."""
    return analysis.trace.statistics.to_frame()[["layer", "head", statistic]]


def _profile(analysis: Analysis, statistic: str) -> Profile:
    table = _frame(analysis, statistic).pivot(index="layer", columns="head", values=statistic)
    return Profile(analysis.trace.spec.title, tuple(table.index.tolist()), table.to_numpy())


def _comparability(column: Column, analyses: Mapping[str, Analysis]) -> None:
    """Say so where the models' numbers mean different things."""
    grids = [one.trace.grid for one in analyses.values()]
    if not compares(column.name, [(grid.tokens, grid.patches) for grid in grids]):
        counts = ", ".join(f"{plain(one.trace.spec.title)} {one.trace.grid.tokens:,}" for one in analyses.values())
        st.info(
            f"These models cut the picture into different numbers of tokens: {counts}. Token-based statistics, "
            f"such as {column.title}, are not comparable across them; normalised entropies and distances are.",
            icon=":material/rule:",
        )
