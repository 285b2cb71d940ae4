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
    with_method,
)
from dashboard.links.codec import Available, Notices, from_link, names, to_link
from vit_engine import ModelSpec
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


def spec(name: str, *, depth: int, heads: int) -> ModelSpec:
    return ModelSpec(name, name.upper(), "test", patch_size=8, dim=8 * heads, depth=depth, heads=heads)


SPECS = {
    one.name: one
    for one in (
        replace(spec("demo_vit_p8", depth=6, heads=4), class_names=tuple(f"{shape}ing" for shape in "abcdefghijkl")),
        spec("demo_vit_p16", depth=6, heads=4),
        spec("tall", depth=13, heads=3),
        spec("file:a:3:7.pth@1", depth=1, heads=1),
    )
}


NAMES = names(Comparing)
AVAILABLE = Available(lambda name: (SPECS.get(name), ""), lambda _: None, "demo_vit_p8")


def read(**link: str | list[str]) -> tuple[Comparing, Notices]:
    lists = {name: [value] if isinstance(value, str) else value for name, value in link.items()}
    values, notices = from_link(Comparing, lists, AVAILABLE)
    return Comparing(**values), notices


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


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("demo_vit_p8:6:mean", "demo_vit_p8:5:mean"),
        ("demo_vit_p8:11:mean", "demo_vit_p8:5:mean"),  # 11 is 5 and once around
        ("demo_vit_p8:-7:mean", "demo_vit_p8:0:mean"),
        ("demo_vit_p8:-12:mean", "demo_vit_p8:0:mean"),
        ("demo_vit_p8:2:4", "demo_vit_p8:2:3"),
        ("tall:99:99:raw:cls", "tall:12:2:raw:cls"),
        ("demo_vit_p8:3:2:relevance[start=6;target=3]", "demo_vit_p8:3:2:relevance[target=3]"),
        ("demo_vit_p8:3:2:relevance[start=2;target=12]", "demo_vit_p8:3:2:relevance[start=2]"),
        ("tall:3:2:relevance[target=0]", "tall:3:2:relevance"),
        ("demo_vit_p8:3:2:relevance[target=ing]", "demo_vit_p8:3:2:relevance"),  # several classes
    ],
)
def test_what_a_panes_own_model_does_not_have_is_brought_to_what_it_has(asked: str, used: str) -> None:
    chosen, (notice,) = read(pane=["tall:12:2", asked])
    assert list(map(str, chosen.panes)) == ["tall:12:2", used]
    assert f"{asked!r}" in notice
    assert notice.endswith(f"using {used}.")


def test_layers_from_the_last_and_panes_without_a_head_need_no_notice() -> None:
    chosen, notices = read(pane=["tall:-1", "demo_vit_p8:-6:max", "file:a:3:7.pth@1:0"])
    assert list(map(str, chosen.panes)) == ["tall:12:mean", "demo_vit_p8:0:max", "file:a:3:7.pth@1:0:mean"]
    assert notices == ()


def test_a_class_is_known_by_its_name_and_targets_of_other_kinds_are_kept() -> None:
    names = ("bing", "norm", "point%3A0.5,0.25", "picture%3Acat")
    link = [f"demo_vit_p8:3:2:relevance[target={name}]" for name in names]
    chosen, notices = read(pane=link)
    assert [pane.target for pane in chosen.panes] == ["1", "norm", "point:0.5000,0.2500", "picture:cat"]
    assert notices == ()


def test_another_method_keeps_the_options_and_the_target_that_it_has_too() -> None:
    pane = Pane.parse("demo_vit_p8:3:2:gradient_rollout[start=2;residual=0.25;target=7]:cls")
    written = {name: str(with_method(pane, name)) for name in ("relevance", "rollout", "grad_cam", "raw", "pca")}
    assert written == {
        "relevance": "demo_vit_p8:3:2:relevance[start=2;target=7]:cls",
        "rollout": "demo_vit_p8:3:2:rollout[start=2;residual=0.25]:cls",
        "grad_cam": "demo_vit_p8:3:2:grad_cam[target=7]:cls",
        "raw": "demo_vit_p8:3:2:raw:cls",
        "pca": "demo_vit_p8:3:2:pca:cls",
    }


def test_panes_that_cannot_be_are_left_out_each_with_its_reason_and_the_rest_is_kept() -> None:
    link = ["tall:1:0", "gone:2:mean", "nonsense", "tall:1:0:sideways", "demo_vit_p8:3:max", "tall:2:mean:raw:2,3"]
    chosen, notices = read(pane=link)
    assert list(map(str, chosen.panes)) == ["tall:1:0", "demo_vit_p8:3:max"]
    words = ("the model 'gone', which is not here", "'nonsense'", "no method is called 'sideways'", "(2.0, 3.0)")
    assert len(notices) == len(words)
    for notice, word in zip(notices, words, strict=True):
        assert word in notice
        assert "left out" in notice


@pytest.mark.parametrize(("letter", "number"), [("A", 0), ("C", 1), ("E", 2)])
def test_the_reference_is_the_links_own_letter_though_panes_before_it_are_left_out(letter: str, number: int) -> None:
    link = ["tall:1:0", "gone:2:mean", "demo_vit_p8:3:max", "gone:1:0", "tall:5:1"]
    chosen, notices = read(pane=link, reference=letter)
    assert chosen.reference == number
    assert len(notices) == 2


def test_a_reference_that_is_left_out_is_told() -> None:
    chosen, notices = read(pane=["gone:2:mean", "tall:1:0", "tall:2:0"], reference="A")
    assert chosen.reference == 0
    assert notices[-1] == "The link asks for reference 'A', which is not available here; using A."


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (["tall:3:1"], ["tall:3:1", "demo_vit_p8:5:mean"]),
        (["demo_vit_p8:5:mean"], ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]),
        (["demo_vit_p16:5"], ["demo_vit_p16:5:mean", "demo_vit_p8:5:mean"]),
        (["gone:3:1"], ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]),
    ],
)
def test_too_few_panes_become_two_with_a_notice(link: list[str], shown: list[str]) -> None:
    chosen, notices = read(pane=link)
    assert list(map(str, chosen.panes)) == shown
    assert notices[-1] == "A comparison needs at least 2 panes: default panes were added."


def test_of_too_many_panes_the_first_are_shown_and_the_others_are_not_read() -> None:
    link = [f"tall:{layer}:mean" for layer in range(MAX_PANES)]
    assert read(pane=link)[1] == ()
    chosen, (notice,) = read(pane=[*link, *["nonsense"] * 500])
    assert list(map(str, chosen.panes)) == link
    assert notice == f"The link has {MAX_PANES + 500} panes; showing the first {MAX_PANES}."


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
