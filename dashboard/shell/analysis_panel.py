"""What the pages of one picture in one model share: its analysis, its title, clickable charts."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import streamlit as st
from plotly.graph_objects import Figure
from streamlit.delta_generator import DeltaGenerator

from dashboard.services import catalogue
from dashboard.services.pictures import Picture
from dashboard.services.requests import PictureRequest, PictureResult, Result
from dashboard.shell import clicks, download_panel
from dashboard.shell.clicks import Change
from dashboard.shell.formatting import RANDOM_BADGE, capitalised, format_elapsed, plain, progress_bar
from vit_engine import ModelSpec, VitEngineError
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes

CHART = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "showSendToCloud": False}


Answer = TypeVar("Answer", covariant=True)


class Asked(Protocol[Answer]):
    """What takes a while, of one model."""

    @property
    def spec(self) -> ModelSpec: ...
    def analyse(self, progress: Progress) -> Answer: ...


def analyse(request: PictureRequest[Result], *, title: DeltaGenerator, stage: DeltaGenerator) -> Result | None:
    """The analysis that is asked for, its progress shown while it runs; None, with the reason shown, if it fails.

    title: where the names of its model and picture go. Where the weights are not here, the offer to download them
    takes the analysis's place.
    """
    with stage:
        analysis = run(request)
    with title:
        _title(request, analysis)
    return analysis


def run(request: Asked[Answer]) -> Answer | None:
    """The analysis that is asked for, its progress shown in the next place of the page while it runs; None as above."""
    spec = request.spec
    model = None if catalogue.is_ready(spec) else catalogue.find_row(spec.name)
    if model is not None and not model.ready:
        download_panel.show(model)
        return None
    try:
        with progress_bar() as progress:
            return request.analyse(progress)
    except VitEngineError as error:
        st.error(reason(error, spec.name), icon=":material/error:")
        return None


def reason(error: VitEngineError, model: str) -> str:
    """Why an analysis in a model of this name failed, as Markdown."""
    text = capitalised(str(error), catalogue.screen_names(model))
    return plain(text) if catalogue.is_own(model) else text  # files are named by strangers


def _title(request: PictureRequest[Result], analysis: PictureResult | None) -> None:
    """Which model and, where there is an analysis, which picture, at which size and cost."""
    spec, picture = request.spec, request.picture
    badge = ""
    if catalogue.is_own(spec.name):
        place = "cloud: from Hugging Face" if catalogue.is_from_hub(spec.name) else "folder_open: from a file"
        badge = f" :blue-badge[:material/{place}]"
    if analysis is None:
        st.markdown(f"#### {plain(spec.title)}{badge}")
        return
    record, grid = analysis.record, analysis.record.grid
    warning = RANDOM_BADGE if record.random else ""
    st.markdown(f"#### {plain(spec.title)}{badge}{warning}", help=f"Loaded from {plain(str(analysis.report))}.")
    took = [text.replace(" ", "\u00a0") for text in (format_elapsed(record.seconds), format_bytes(record.nbytes))]
    size, patches = f"{grid.height}×{grid.width} px", f"{grid.rows}×{grid.cols} patches"
    st.caption(" · ".join((credited(picture), size, patches, *took)))


def credited(picture: Picture) -> str:
    """What a picture is called, and who made it."""
    return plain(picture.title) + (f" ({picture.credit})" if picture.credit else "")


def chart(
    figure: Figure,
    key: str,
    aspect: float,
    on_click: Callable[..., Change],
    *,
    alt: str,
    on_zoom: Callable[..., Change] = clicks.no_change,
    on_region: Callable[..., Change] | None = None,
) -> None:
    """A chart in a box that keeps its aspect (width over height) at every width.

    on_click, on_zoom, on_region: as of clicks.listen().
    """
    st.html(f"<style>.st-key-{key}_box {{ aspect-ratio: {aspect:.4f}; }}</style>")
    with st.container(key=f"{key}_box"):
        clicks.listen(key, on_click, on_zoom, on_region)
        st.plotly_chart(figure, key=key, height="stretch", config=CHART, alt=alt)
