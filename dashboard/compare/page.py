"""Compare: maps of one picture side by side, by model, patch size, layer and head, with the numbers between them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.compare import card, controls, export, faithfulness, legend, tables
from dashboard.compare import panes as compare_panes
from dashboard.compare.panes import Panes
from dashboard.compare.state import Comparing
from dashboard.compare.texts import pane_titles
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.links.zoom import Zoom, zoom_in_pixels, zoom_to
from dashboard.services import analyses, catalogue
from dashboard.services.pictures import Picture
from dashboard.shell import clicks, page_state, sidebar
from dashboard.shell.analysis_panel import credited
from vit_engine import ModelSpec, VitEngineError
from vit_engine.analysis.comparison import Comparison, PaneResult, letter
from vit_engine.image import with_short_side
from vit_engine.report.figure import GAP, compare_figure, figure_aspect
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import Style

# showTips: Plotly would advise a double click to zoom back, which does nothing here: there is a button for it.
CHART = {"displaylogo": False, "scrollZoom": False, "doubleClick": False, "showTips": False, "showSendToCloud": False}
PANE_WIDTH = 250  # pixels, at least
HIGHEST = 640  # pixels, of a pane
_NOTICES = "_compare_notices"  # session state: what was changed in the link, until the page has its panes
_FILLING = "_filling"  # session state: whether the page runs again by itself, to show one pane more


def page() -> None:
    _tell_notices()
    choice, selection = controls.chosen(), sidebar.shared_selection()
    picture, size = sidebar.picture(), selection.size
    frame, specs = with_short_side(picture.shape, size), catalogue.models()
    corner = _title(picture, frame)
    controls.preset_buttons()
    controls.toolbar()
    panes = compare_panes.look(choice.panes, picture, size, specs, selection.query)
    comparison, panes = _comparison(choice, selection, panes)
    style = _style(choice, selection)
    drawn = _drawn(choice, comparison, panes, style)
    with st.container(key="compare_panes"):
        _above(comparison, drawn, style)
        with _strip(len(choice.panes), frame):
            _cards(choice, specs, panes, picture)
            _figure(drawn, frame, choice, style)
            places = _under(panes, comparison, drawn, style)
    asked = faithfulness.requests(panes, comparison, steps=int(choice.steps))
    measuring = _tables(comparison, choice, asked, panes)
    if widgets.differed() and (controls.chosen() != choice or card.take_widgets()):
        widgets.again()
    page_state.share(selection, controls.chosen())
    if comparison is not None:
        with corner:
            now = controls.chosen()  # the tables' controls settle on a statistic that all panes have
            more: dict[str, Any] = {"picture": picture, "size": size, "faithfulness": faithfulness.table(asked)}
            export.button(comparison, style, drawn, choice=now, **more)
    _fill(panes, places)
    _measure(asked, comparison, measuring)


def _tables(
    comparison: Comparison | None, choice: Comparing, asked: faithfulness.Requests, panes: Panes
) -> DeltaGenerator | None:
    """The numbers between panes; the place for the progress of what is measured of them."""
    if comparison is None or len(comparison.results) < 2:
        return None
    tables.agreement(comparison)
    place = faithfulness.show(asked, choice, comparison, panes) if asked else None
    tables.heads(comparison, choice)
    return place


def _tell_notices() -> None:
    """Notices of a link stay while the page fills its panes by itself."""
    kept = st.session_state.pop(_NOTICES, ()) if st.session_state.pop(_FILLING, False) else ()
    controls.restore()
    st.session_state[_NOTICES] = page_state.tell(kept)


def _title(picture: Picture, frame: tuple[int, int]) -> DeltaGenerator:
    """The page's title, and beside it the place for the export, which it returns."""
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    with header.container(width="content"):
        st.markdown("#### Compare")
        st.caption(f"{credited(picture)} · {frame[0]}×{frame[1]} px")
    return header.container(width="content")


def _comparison(choice: Comparing, selection: Selection, panes: Panes) -> tuple[Comparison | None, Panes]:
    """What can be compared, and the panes with those refused whose maps cannot be made."""
    asked, point = dict(enumerate(choice.panes)), selection.query
    made: dict[str, Any] = {"gradients": panes.gradients, "attributions": panes.attributions}
    found = analyses.evaluate(asked, panes.analyses, panes.features, point=point, **made)
    results = tuple(one for one in found.values() if isinstance(one, PaneResult))
    panes = panes.refused({number: one for number, one in found.items() if isinstance(one, VitEngineError)})
    if not results:
        return None, panes
    frame, reference = next(iter(panes.analyses.values())).frame, letter(choice.reference)
    return Comparison(results, frame, reference=reference, point=point, keep=choice.keep / 100), panes


def _style(choice: Comparing, selection: Selection) -> Style:
    return Style(
        show=choice.show,
        scale=choice.scale,
        colours=sidebar.colours(),
        opacity=selection.opacity / 100,
        clip=float(selection.clip),
    )


def _drawn(choice: Comparing, comparison: Comparison | None, panes: Panes, style: Style) -> tuple[Panel, ...]:
    """A panel a pane: its map, or in few words why there is none."""
    there = {} if comparison is None else {panel.name: panel for panel in panels(comparison, style)}
    words = {number: problem.brief for number, problem in panes.problems.items()}
    names = enumerate(map(letter, range(len(choice.panes))))
    return tuple(there.get(name) or Panel(name, "", message=words.get(number, "…")) for number, name in names)


def _above(comparison: Comparison | None, drawn: tuple[Panel, ...], style: Style) -> None:
    """Whose attention this is, and what the colours mean."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="above"):
        controls.query_line()
        with st.container(key="panes_cue", width="content"):
            st.markdown(f":small[{len(drawn)} panes, scroll sideways :material/arrow_forward:]")
        if comparison is not None:
            st.html(legend.legend(comparison, drawn, style), width="content")


def _strip(count: int, frame: tuple[int, int]) -> DeltaGenerator:
    """The panes with what stands above and below each: as wide as fits, scrolled sideways where that is not enough.

    Where it is not, the line above says so.
    """
    aspect, gap = figure_aspect(count, frame), 100 * GAP / (count + GAP * (count - 1))
    least = count * PANE_WIDTH
    wide = f"min-width: {least}px; max-width: {HIGHEST * aspect:.0f}px"
    st.html(
        f"<style>.st-key-compare_strip > div {{ {wide}; }} .st-key-comparison_box {{ aspect-ratio: {aspect:.4f}; }} "
        f".st-key-compare_strip > div > [data-testid=stHorizontalBlock] {{ gap: {gap:.3f}%; }} "
        f"@container compare_panes (min-width: {least}px) {{ .st-key-panes_cue {{ display: none; }} }}</style>"
    )
    return st.container(key="compare_strip")


def _cards(choice: Comparing, specs: Mapping[str, ModelSpec], panes: Panes, picture: Picture) -> None:
    for number, column in enumerate(st.columns(len(choice.panes), gap="small", wrap=False)):
        with column:
            card.show(number, specs, panes.analyses.get(number), picture)
    card.mark_panes()
    widgets.mark()


def _figure(drawn: tuple[Panel, ...], frame: tuple[int, int], choice: Comparing, style: Style) -> None:
    zoom = zoom_in_pixels(choice.zoom, frame)
    figure = compare_figure(drawn, frame=frame, opacity=style.opacity, zoom=zoom)
    alt = "The panes' maps over the picture, side by side"
    with st.container(key="comparison_box"):
        st.plotly_chart(figure, key=keys.COMPARISON, height="stretch", config=CHART, alt=alt)
    clicks.listen(keys.COMPARISON, partial(_ask, frame), partial(_zoom, frame))


def _ask(frame: tuple[int, int], *, x: float, y: float) -> dict[str, tuple[float, float]]:
    height, width = frame
    # A common grid may end beyond the picture.
    y, x = (min(max(part, 0.0), 1.0) for part in (y / height, x / width))
    return {keys.QUERY: (round(y, 4), round(x, 4))}


def _zoom(frame: tuple[int, int], **box: list[float]) -> dict[str, Zoom | None]:
    """What was zoomed or moved to stays, whatever is drawn next."""
    return zoom_to(keys.ZOOM, box, frame)


def _under(panes: Panes, comparison: Comparison | None, drawn: tuple[Panel, ...], style: Style) -> list[DeltaGenerator]:
    """Below each pane its numbers, its problem, or the place for its progress; returns these places."""
    places = []
    for number, column in enumerate(st.columns(len(drawn), gap="small", wrap=False)):
        with column:
            if number in panes.problems:
                compare_panes.tell(number, panes)
            elif number in panes.analyses and comparison is not None:
                own_end = legend.has_own_end(drawn[number], drawn, style)
                st.caption(legend.numbers(comparison, drawn[number], style, own_end=own_end))
            places.append(st.empty())
    return places


def _fill(panes: Panes, places: list[DeltaGenerator]) -> None:
    """Have the next missing pane analysed and rerun the page, so that panes come one after another."""
    for number in panes.waiting[1:]:
        places[number].progress(0.0, text="Waiting")
    for number in panes.waiting[:1]:
        compare_panes.fill(panes.missing[number], places[number])
        st.session_state[_FILLING] = True
        widgets.again()


def _measure(asked: faithfulness.Requests, comparison: Comparison | None, place: DeltaGenerator | None) -> None:
    """Have the next pane's faithfulness measured, where that was asked for, and rerun the page."""
    name = faithfulness.waiting(asked)
    if comparison is not None and place is not None and name is not None:
        faithfulness.measure(asked[name], pane_titles(comparison)[name], place)
        st.session_state[_FILLING] = True
        widgets.again()
