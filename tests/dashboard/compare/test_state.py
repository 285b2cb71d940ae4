"""A link of Compare says what is drawn; whatever it asks for is brought to what exists, and told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.compare.state import (
    CHARTS,
    DEFAULT,
    DEFAULT_PANES,
    KEEPS,
    LEAST_PANES,
    ORDERS,
    ROWS,
    Comparing,
    fitted,
)
from dashboard.links.codec import to_link
from tests.dashboard.compare.fixtures_state import NAMES, SPECS, read
from vit_engine.analysis.comparison import MAX_PANES, Pane, letter
from vit_engine.report.style import SCALES, SHOWS
from vit_engine.trace.statistics import STATISTICS

FRACTIONS = st.integers(0, 10_000).map(lambda number: number / 10_000)
ODD_TEXTS = [
    "",
    " ",
    ":",
    "::",
    "demo_vit_p8",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "9" * 400,
    "²",
    "層",
    "\x00",
    "1,2,3,nan",
]


@st.composite
def panes(draw: st.DrawFn) -> Pane:
    model = draw(st.sampled_from(list(SPECS)))
    heads = st.integers(0, SPECS[model].heads - 1)
    return Pane(
        model,
        draw(st.integers(0, SPECS[model].depth - 1)),
        draw(st.sampled_from(["mean", "max", "min"]) | heads),
        query=draw(st.sampled_from(["shared", "cls"]) | st.tuples(FRACTIONS, FRACTIONS)),
    )


@st.composite
def zooms(draw: st.DrawFn) -> tuple[float, ...]:
    side = draw(st.integers(200, 10_000))
    top, left = (draw(st.integers(0, 10_000 - side)) for _ in range(2))
    return tuple(part / 10_000 for part in (top, left, top + side, left + side))


@st.composite
def choices(draw: st.DrawFn) -> Comparing:
    shown = tuple(draw(st.lists(panes(), min_size=LEAST_PANES, max_size=MAX_PANES)))
    return Comparing(
        panes=shown,
        reference=draw(st.integers(0, len(shown) - 1)),
        show=draw(st.sampled_from(SHOWS)),
        scale=draw(st.sampled_from(SCALES)),
        keep=draw(st.sampled_from(KEEPS)),
        zoom=draw(st.none() | zooms()),
        statistic=draw(st.sampled_from(tuple(STATISTICS))),
        rows=draw(st.sampled_from(ROWS)),
        order=draw(st.sampled_from(ORDERS)),
        chart=draw(st.sampled_from(CHARTS)),
    )


@given(choices())
def test_a_choice_comes_back_from_its_link_without_a_notice(chosen: Comparing) -> None:
    assert read(**to_link(chosen)) == (chosen, ())


def test_a_link_names_the_panes_and_of_the_rest_what_differs_from_the_default() -> None:
    assert to_link(DEFAULT) == {"pane": ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]}
    other = replace(DEFAULT, reference=1, scale="log", keep=35, zoom=(0.25, 0.5, 0.75, 1.0), rows="all")
    assert to_link(other) == {
        "pane": ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"],
        "reference": "B",
        "pane_scale": "log",
        "keep": "35",
        "zoom": "0.2500,0.5000,0.7500,1.0000",
        "rows": "all",
    }


@given(choices())
def test_every_parameter_of_a_link_is_one_of_the_pages_own(chosen: Comparing) -> None:
    assert to_link(chosen).keys() <= set(NAMES)


def test_a_link_that_names_nothing_is_the_default_and_other_parameters_are_left_alone() -> None:
    assert read() == (DEFAULT, ())
    assert read(utm_source="mail", scale="own", picture="gone") == (DEFAULT, ())


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.lists(st.text(max_size=40) | st.sampled_from(ODD_TEXTS) | panes().map(str), min_size=1, max_size=11),
    )
)
def test_whatever_a_link_says_the_result_can_be_shown_and_its_own_link_needs_no_notice(
    link: dict[str, list[str]],
) -> None:
    chosen, notices = read(**link)
    assert LEAST_PANES <= len(chosen.panes) <= MAX_PANES
    assert 0 <= chosen.reference < len(chosen.panes)
    assert all(fitted(pane, SPECS[pane.model]) == pane for pane in chosen.panes)
    assert chosen.keep in KEEPS
    assert read(**to_link(chosen)) == (chosen, ())
    assert len(notices) <= len(link) + MAX_PANES + 1
    assert sum(map(len, notices)) < 400 * (len(notices) or 1)


def test_several_values_of_what_there_is_once_are_the_last() -> None:
    chosen, notices = read(show=["mask", "difference"], keep=["10", "20"])
    assert (chosen.show, chosen.keep, notices) == ("difference", 20, ())


@pytest.mark.parametrize(
    ("name", "asked", "field", "used", "words"),
    [
        ("reference", "C", "reference", 0, "using A"),
        ("reference", "b", "reference", 0, "using A"),
        ("reference", "BB", "reference", 0, "using A"),
        ("reference", "", "reference", 0, "using A"),
        ("reference", "@", "reference", 0, "using A"),
        ("show", "MAP", "show", "map", "using map"),
        ("show", "", "show", "map", "using map"),
        ("pane_scale", "linear", "scale", "shared", "using shared"),
        ("keep", "61", "keep", 60, "using 60"),
        ("keep", "63", "keep", 65, "using 65"),
        ("keep", "0", "keep", 5, "using 5"),
        ("keep", "1e9", "keep", 95, "using 95"),
        ("keep", "nan", "keep", 60, "using 60"),
        ("keep", "-inf", "keep", 60, "using 60"),
        ("keep", "most", "keep", 60, "using 60"),
        ("statistic", "layer", "statistic", DEFAULT.statistic, f"using {DEFAULT.statistic}"),
        ("statistic", "entropy", "statistic", DEFAULT.statistic, f"using {DEFAULT.statistic}"),
        ("rows", "some", "rows", "layer", "using layer"),
        ("order", "Head", "order", "head", "using head"),
        ("chart", "bar", "chart", "box", "using box"),
    ],
)
def test_what_does_not_exist_becomes_what_does_with_a_notice(
    name: str, asked: str, field: str, used: object, words: str
) -> None:
    chosen, (notice,) = read(**{name: asked})
    assert chosen == replace(DEFAULT, **{field: used})
    assert f"asks for {name} {asked!r}" in notice
    assert notice.endswith(f"{words}.")


@pytest.mark.parametrize(("name", "text"), [("keep", "60.0"), ("keep", "6e1"), ("reference", "A"), ("zoom", "0,0,1,1")])
def test_other_ways_to_write_what_exists_need_no_notice(name: str, text: str) -> None:
    assert not read(**{name: text})[1]


def test_long_values_are_cut_short_in_their_notices() -> None:
    _, notices = read(pane=["m" * 9000 + ":0:mean", "tall:0", "n" * 9000], show="s" * 9000)
    assert len(notices) == 4  # and one for the pane that was put in
    assert max(map(len, notices)) < 400


def test_panes_are_called_by_letters() -> None:
    assert [letter(number) for number in range(MAX_PANES)] == list("ABCDEFGH")


@pytest.mark.parametrize(
    ("layer", "head", "expected"),
    [
        (0, "mean", (0, "mean")),
        (5, 3, (5, 3)),
        (6, 4, (5, 3)),
        (-1, "max", (5, "max")),
        (-6, 0, (0, 0)),
        (-7, 9, (0, 3)),
    ],
)
def test_a_pane_fits_its_model(layer: int, head: int | str, expected: tuple[int, int | str]) -> None:
    pane = Pane("demo_vit_p8", layer, head, query=(0.25, 0.75))
    fit = fitted(pane, SPECS["demo_vit_p8"])
    assert (fit.layer, fit.head) == expected
    assert (fit.model, fit.method, fit.query) == (pane.model, pane.method, pane.query)


def test_the_default_panes_are_at_the_last_layer_of_models_that_are_always_there() -> None:
    assert [(pane.layer, pane.head, pane.query) for pane in DEFAULT_PANES] == [(5, "mean", "shared")] * 2
    assert len({pane.model for pane in DEFAULT_PANES}) == LEAST_PANES
