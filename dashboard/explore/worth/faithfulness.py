"""Whether the model needs what the map shows: curves of insertion and deletion."""

import streamlit as st

from dashboard import keys
from dashboard.explore.worth import texts
from dashboard.explore.worth.figures import curve_figure, legend, score_ends
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services.faithfulness import FaithfulnessRequest, Measured
from dashboard.services.maps import MapRequest
from dashboard.shell import analysis_panel
from dashboard.shell.controls import csv_button, segments, steps_control
from dashboard.shell.formatting import format_duration, plain
from vit_engine import AttentionMap
from vit_engine.report.worth import faithfulness_frame

_ASKED = "_measured"  # session state: the key of the measurement that this session asked for last
_BASELINES = {"blur": "Blurred picture", "mean": "Mean colour"}
_BASELINE_HELP = (
    "What takes the place of patches: the picture under a blur of a sixteenth of its short side, or its mean colour. A "
    "curve says as much of the baseline as of the map, so look at both."
)
_HELP = (
    "Patches are put into the baseline, or taken out of the picture, from the map's largest value to its smallest "
    "(RISE, Petsiuk et al. 2018, arXiv 1806.07421); an area is the mean height of its curve. The same is done in five "
    "random orders, and with the same method's map of a model whose weights are random (Adebayo et al. 2018, arXiv "
    "1810.03292): what is no better than these shows nothing that the model needs."
)


def show(asked: MapRequest, map: AttentionMap, selection: Selection) -> None:
    """The choice of a baseline, and the curves, measured where a person asks for them."""
    request = FaithfulnessRequest(asked, map, selection.baseline, int(selection.steps))
    with st.container(horizontal=True, vertical_alignment="bottom", key="faithfulness_controls"):
        with widgets.holding(keys.BASELINE, selection.baseline):
            segments("Missing patches show the", _BASELINES, key=keys.BASELINE, help=_BASELINE_HELP)
        steps_control(selection.steps, key=keys.WORTH_STEPS)
        place = st.empty()
    if not map.values.any():
        st.info("This map is zero everywhere: it puts no patch before another.", icon=":material/visibility_off:")
        return
    measured = request.kept
    if measured is None and st.session_state.get(_ASKED) != request.key:
        with place:
            _button(request)
        return
    if measured is None:
        with place:
            _button(request, disabled=True)
        measured = analysis_panel.run(request)
        place.empty()
    if measured is not None:
        _results(measured, asked)


def _button(request: FaithfulnessRequest, *, disabled: bool = False) -> None:
    st.button(
        f"Measure · about {format_duration(request.expected.seconds)}",
        key=keys.MEASURE,
        on_click=widgets.take,
        args=(dict, {_ASKED: request.key}),
        icon=":material/play_arrow:",
        help=_HELP,
        disabled=disabled,
    )


def _results(measured: Measured, asked: MapRequest) -> None:
    shown = measured.map
    st.caption(f"Score: {plain(shown.score_label)} · {plain(shown.label)}", help=_HELP)
    st.html(legend())
    ends = _ends(measured)
    for column, name in zip(st.columns(2, gap="medium"), ("insertion", "deletion"), strict=True):
        with column:
            _curve(measured, name, ends)
    csv_button(
        faithfulness_frame(measured.map, measured.randomised),
        f"faithfulness-{asked.spec.name}-{asked.method.name}",
        key=keys.DOWNLOAD_CURVES,
        help="The curves, one row a step.",
        later=True,
    )


def _ends(measured: Measured) -> tuple[float, float]:
    """Of both charts, so that their curves compare."""
    shown, other = measured.map, measured.randomised
    curves = shown.insertion, shown.random_insertion_curves, other.insertion
    return score_ends(*curves, shown.deletion, shown.random_deletion_curves, other.deletion)


def _curve(measured: Measured, name: str, ends: tuple[float, float]) -> None:
    shown, other = measured.map, measured.randomised
    rising = name == "insertion"
    st.markdown(f"**{name.capitalize()}** :small[{'higher' if rising else 'lower'} is better]")
    figure = curve_figure(
        shown.fractions,
        shown=getattr(shown, name),
        random=getattr(shown, f"random_{name}_curves"),
        randomised=getattr(other, name),
        change="inserted" if rising else "deleted",
        unit=texts.unit(shown),
        ends=ends,
    )
    key = keys.INSERTION if rising else keys.DELETION
    st.plotly_chart(
        figure, key=key, height=240, config=analysis_panel.CHART, alt=f"Score by the share of patches: {name}"
    )
    areas = getattr(shown, f"{name}_area"), getattr(shown, f"random_{name}"), getattr(other, f"{name}_area")
    st.markdown(f":small[{texts.curve_line(*areas, rising=rising)}]")
