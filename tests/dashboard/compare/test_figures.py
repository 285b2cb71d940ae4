"""The charts beside Compare's maps, what its colours mean, and the numbers under its panes, computed by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.charts import HEAD_COLOURS
from dashboard.compare.figures import distribution_figure
from dashboard.compare.legend import legend, numbers
from tests.vit_engine.report.fixtures_bundles import coarse, comparison, fine, shown
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import Style

FRAMES = {
    "A · Two heads": pd.DataFrame({"layer": [0, 0, 3, 3], "head": [0, 1, 0, 1], "x": np.float32([0.1, 0.2, 0.3, 0.4])}),
    "B · Three": pd.DataFrame({"layer": [1, 1, 1], "head": [0, 1, 2], "x": np.float32([0.5, 0.6, 0.7])}),
}
A = fine((1, 2, 20), (4, 10, 5))
B = coarse((0, 1, 40), (2, 4, 10))


@pytest.mark.parametrize("kind", ["box", "violin"])
def test_every_head_of_every_model_is_a_dot_at_its_layer(kind: str) -> None:
    figure = distribution_figure(FRAMES, "x", unit="bits", kind=kind)
    assert [trace.name for trace in figure.data] == list(FRAMES)
    for trace, frame in zip(figure.data, FRAMES.values(), strict=True):
        assert trace.type == kind
        assert (list(trace.x), list(trace.y)) == (frame["layer"].tolist(), frame["x"].astype(float).tolist())
        assert list(trace.text) == [f"head {head}" for head in frame["head"]]
        assert (trace.boxpoints if kind == "box" else trace.points) == "all"
        assert "bits" in trace.hovertemplate


@pytest.mark.parametrize("kind", ["box", "violin"])
def test_models_stand_beside_each_other_in_colours_of_their_own(kind: str) -> None:
    figure = distribution_figure(FRAMES, "x", unit="bits", kind=kind)
    assert [trace.offsetgroup for trace in figure.data] == ["0", "1"]
    assert [trace.marker.color for trace in figure.data] == list(HEAD_COLOURS[:2])
    assert (figure.layout.boxmode, figure.layout.violinmode) == ("group", "group")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("layer", "bits")


def test_one_model_has_a_legend_and_more_models_than_colours_have_some() -> None:
    many = dict.fromkeys((str(number) for number in range(13)), FRAMES["B · Three"])
    figure = distribution_figure(many, "x", unit="bits", kind="box")
    assert all(isinstance(trace, go.Box) and trace.marker.color for trace in figure.data)
    assert distribution_figure({"A": FRAMES["B · Three"]}, "x", unit="bits", kind="box").layout.showlegend


def legend_ends(made: Comparison, look: Style) -> str:
    """The legend without its markup: low end, high end."""
    html = legend(made, panels(made, look), look)
    return html.partition(">")[2].partition("<span")[0] + "|" + html.rpartition("</span>")[2].removesuffix("</div>")


@pytest.mark.parametrize(
    ("maps", "look", "expected"),
    [
        ((A, A), Style(clip=100), "0 | ≥ 20.00% of attention"),
        ((A, B), Style(clip=100), "0 | ≥ 13.2 × even attention"),  # 0.2 of 66 patches
        ((A, A), Style(clip=100, scale="log"), "1/1000 of it | ≥ 20.00% of attention"),
        ((A, B), Style(clip=100, scale="own"), "0 | each pane its own end"),
        ((A, B), Style(clip=100, show="difference"), "less than A −60.00% | +60.00% more than A"),
        ((A, B), Style(clip=100, show="difference", scale="own"), "less than A | more than A"),
    ],
)
def test_the_legend_says_where_the_colours_end(maps: tuple[np.ndarray, ...], look: Style, expected: str) -> None:
    assert legend_ends(comparison(*maps), look) == expected


@pytest.mark.parametrize(
    ("method", "unit", "other", "expected"),
    [
        ("rollout", "rollout weight", A, "0 | ≥ 20.00% of rollout weight"),
        ("rollout", "rollout weight", B, "0 | ≥ 13.2 × even rollout weight"),
        ("relevance", "relevance", A, "0 | ≥ 0.2 relevance"),
        ("relevance", "relevance", B, "0 | ≥ 13.2 relevance per area"),
    ],
)
def test_the_legend_says_what_the_maps_are_of(method: str, unit: str, other: np.ndarray, expected: str) -> None:
    made = comparison(A, other)
    results = [
        replace(one, pane=replace(one.pane, method=method), map=replace(one.map, unit=unit)) for one in made.results
    ]
    assert legend_ends(replace(made, results=tuple(results)), Style(clip=100)) == expected


@pytest.mark.parametrize(
    ("scale", "other", "expected"),
    [
        ("shared", A, "against −0.2 | for +0.2 attribution"),
        ("shared", B, "against −13.2 | for +13.2 attribution per area"),
        ("own", A, "against | for the target"),
    ],
)
def test_the_legend_of_what_is_for_and_against_says_what_that_is(scale: str, other: np.ndarray, expected: str) -> None:
    made = comparison(A, other)
    results = [
        replace(
            one,
            pane=replace(one.pane, method="input_gradient"),
            map=replace(one.map, unit="attribution", signed=True),
        )
        for one in made.results
    ]
    assert legend_ends(replace(made, results=tuple(results)), Style(clip=100, scale=scale)) == expected


def test_the_legend_of_differences_is_of_a_difference_though_the_reference_is_first() -> None:
    made, look = comparison(A, B), Style(show="difference")
    html = legend(made, panels(made, look), look)
    assert "minus its share in the reference" in html
    assert "rgba(30, 136, 229" in html  # less
    assert "multiple of even attention" in legend(made, panels(made, Style()), Style())


def test_differences_on_scales_of_their_own_say_where_they_end() -> None:
    assert under(comparison(A, B), Style(clip=100, show="difference", scale="own"))[1].endswith(
        " · colours end at ±60.00%"
    )


def test_panes_without_a_map_have_no_part_in_the_legend() -> None:
    made = comparison(shown(1, A), shown(2, A))
    drawn = (Panel("A", "", message="not downloaded"), *panels(made, Style(clip=100)))
    assert "≥ 20.00%" in legend(made, drawn, Style(clip=100))


def under(made: Comparison, look: Style = Style(clip=100)) -> list[str]:  # noqa: B008
    return [numbers(made, panel, look) for panel in panels(made, look)]


def test_under_a_pane_stand_its_entropy_and_how_it_differs_from_the_references() -> None:
    """Two equal patches are 1 bit of the log2 66 = 6.04, 17 %, or of the log2 15 = 3.91, 26 %; one is none."""
    even, single = fine((0, 0, 50), (5, 10, 50)), coarse((1, 1, 90))
    two = coarse((0, 0, 30), (2, 2, 30))
    assert under(comparison(even, two, single)) == [
        "entropy 1.0 bits · 17% of even",
        "entropy 1.0 bits · 26% of even · Δ +9 points",
        "entropy 0.0 bits · 0% of even · Δ −17 points",
    ]
    assert under(comparison(even, two, reference="B"))[0] == "entropy 1.0 bits · 17% of even · Δ −9 points"


def test_a_map_without_mass_has_no_entropy_and_nothing_differs_from_it() -> None:
    first, second = under(comparison(fine(), B))
    assert first == "no attention on patches"
    assert "Δ" not in second


def test_on_its_own_scale_a_pane_says_where_its_colours_end() -> None:
    texts = under(comparison(A, B), Style(clip=100, scale="own"))
    assert [text.rpartition("colours end at ")[2] for text in texts] == ["20.00% of attention", "40.00% of attention"]


def test_random_weights_and_queries_of_their_own_are_said() -> None:
    one, other = shown(0, A), shown(1, A)
    other = replace(other, pane=replace(other.pane, query="cls"), trace=replace(other.trace, random=True))
    texts = under(comparison(one, other))
    assert ["random weights" in text for text in texts] == [False, True]
    assert ["query CLS" in text for text in texts] == [False, True]
    pinned = replace(one, pane=replace(one.pane, query=(0.5, 0.25)))
    assert "query pinned" in under(comparison(pinned, other))[0]
