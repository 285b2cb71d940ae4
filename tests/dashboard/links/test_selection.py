"""A link says what is drawn; whatever a link asks for is brought to what exists, and told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.links.codec import Available, Notices, from_link, names, to_link
from dashboard.links.pictures import UPLOAD_PREFIX
from dashboard.links.selection import (
    CLIPS,
    COLOURS,
    DEFAULT,
    SCALES,
    SINKS,
    SIZES,
    VIEWS,
    Selection,
    clamp_to_model,
)
from dashboard.samples import SAMPLES
from vit_engine import ModelSpec
from vit_engine.trace import REDUCTIONS

SHAPES = {DEFAULT.model: (6, 4), "tall": (13, 3), "flat": (1, 17)}
SPECS = {
    name: ModelSpec(name, name.upper(), "test", patch_size=8, dim=8 * heads, depth=depth, heads=heads)
    for name, (depth, heads) in SHAPES.items()
}
HELD = "ab" * 32
AVAILABLE = Available(lambda name: (SPECS.get(name), ""), {HELD: "a picture"}.get, DEFAULT.model)
PARAMETERS = names(Selection)
FRACTIONS = st.integers(0, 10_000).map(lambda number: number / 10_000)
ODD_TEXTS = ["", " ", "nan", "inf", "-inf", "1e999", "-1e999", "9" * 400, "²", "½", "層", "\x00", "'; --", "1,2,3"]


def read(**link: str) -> tuple[dict[str, object], Notices]:
    return from_link(Selection, {name: [value] for name, value in link.items()}, AVAILABLE)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    model = draw(st.sampled_from(list(SHAPES)))
    depth, heads = SHAPES[model]
    return Selection(
        picture=draw(st.sampled_from([*(sample.name for sample in SAMPLES), UPLOAD_PREFIX + HELD])),
        model=model,
        size=draw(st.sampled_from(SIZES)),
        layer=draw(st.none() | st.integers(0, depth - 1)),
        head=draw(st.sampled_from([*REDUCTIONS, *map(str, range(heads))])),
        query=draw(st.none() | st.tuples(FRACTIONS, FRACTIONS)),
        view=draw(st.sampled_from(VIEWS)),
        opacity=draw(st.integers(0, 100)),
        colours=draw(st.sampled_from(COLOURS)),
        scale=draw(st.sampled_from(SCALES)),
        clip=draw(st.sampled_from(CLIPS)),
        sinks=draw(st.sampled_from(SINKS)),
    )


@given(selections())
def test_a_selection_comes_back_from_its_link_without_a_notice(selection: Selection) -> None:
    values, notices = read(**to_link(selection))
    assert replace(DEFAULT, **values) == selection
    assert not notices


def test_a_link_names_only_what_differs_from_the_default() -> None:
    assert to_link(DEFAULT) == {}
    assert to_link(replace(DEFAULT, layer=3, query=(0.25, 1.0))) == {"layer": "3", "query": "0.2500,1.0000"}


def test_a_link_that_names_nothing_changes_nothing_and_other_parameters_are_left_alone() -> None:
    assert read() == ({}, ())
    assert read(embed="true", utm_source="mail") == ({}, ())


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=50) | st.sampled_from(ODD_TEXTS)))
def test_whatever_a_link_says_the_result_can_be_shown_and_has_at_most_one_notice_a_parameter(
    link: dict[str, str],
) -> None:
    values, notices = read(**link)
    selection = replace(DEFAULT, **values)
    values_again, nothing = read(**to_link(selection))
    assert to_link(replace(DEFAULT, **values_again)) == to_link(selection)
    assert not nothing
    assert len(notices) <= len(link)


@pytest.mark.parametrize(
    ("name", "asked", "used"),
    [
        ("model", "tal", DEFAULT.model),
        ("size", "223", 224),
        ("size", "1", min(SIZES)),
        ("size", "1e9", max(SIZES)),
        ("size", "-5", min(SIZES)),
        ("layer", "6", 5),
        ("layer", "-7", 0),
        ("layer", "1e300", 5),
        ("layer", "2.5", 2),
        ("head", "4", "3"),
        ("head", "-1", "0"),
        ("head", "1.5", "1"),
        ("query", "1.5,0.5", (1.0, 0.5)),
        ("query", "0.25,-7", (0.25, 0.0)),
        ("query", "inf,0.5", (1.0, 0.5)),
        ("query", "nan,0.25", (0.5, 0.25)),
        ("view", "under", DEFAULT.view),
        ("opacity", "101", 100),
        ("opacity", "-1", 0),
        ("opacity", "50.5", 50),
        ("colours", "#ff0000", DEFAULT.colours),
        ("scale", "SHARED", DEFAULT.scale),
        ("clip", "94", 95),
        ("clip", "0", 90),
        ("picture", "dog", DEFAULT.picture),
    ],
)
def test_what_does_not_exist_becomes_the_nearest_that_does_with_a_notice(name: str, asked: str, used: object) -> None:
    values, (notice,) = read(**{name: asked})
    assert values == {name: used}
    assert name in notice
    assert repr(asked) in notice


@pytest.mark.parametrize("name", ["size", "layer", "head", "opacity", "clip", "query"])
@pytest.mark.parametrize("text", [text for text in ODD_TEXTS if text != "9" * 400])
def test_what_is_no_number_is_left_at_the_default_with_a_notice(name: str, text: str) -> None:
    values, notices = read(**{name: text})
    assert values == {}
    assert len(notices) == 1
    assert ("the last one" if name == "layer" else "the CLS token" if name == "query" else "using ") in notices[0]


def test_long_values_are_cut_short_in_their_notice() -> None:
    _, (notice,) = read(model="m" * 10_000)
    assert "m" * 40 in notice
    assert len(notice) < 200


@pytest.mark.parametrize(("name", "text"), [("layer", "-1"), ("size", "224.0"), ("opacity", "6.5e1"), ("query", "cls")])
def test_other_ways_to_write_what_exists_need_no_notice(name: str, text: str) -> None:
    values, notices = read(**{name: text})
    assert not notices
    assert values == {"layer": {"layer": 5}, "query": {}}.get(name, {name: getattr(DEFAULT, name)})


def test_numbers_come_back_as_the_widgets_have_them() -> None:
    values, _ = read(size="96", clip="90", opacity="30", layer="2")
    assert {name: type(value) for name, value in values.items()} == dict.fromkeys(values, int)


def test_layer_and_head_are_clamped_to_the_model_that_the_link_names() -> None:
    assert read(model="tall", layer="12", head="2") == ({"model": "tall", "layer": 12, "head": "2"}, ())
    values, notices = read(model="flat", layer="12", head="16")
    assert values == {"model": "flat", "layer": 0, "head": "16"}
    assert len(notices) == 1


def test_an_unknown_model_has_layer_and_head_clamped_to_the_default_model() -> None:
    values, notices = read(model="gone", layer="12", head="16")
    assert values == {"model": DEFAULT.model, "layer": 5, "head": "3"}
    assert len(notices) == 3


def test_an_upload_that_is_still_held_is_shown_and_one_that_is_not_says_so() -> None:
    held = UPLOAD_PREFIX + HELD
    assert read(picture=held) == ({"picture": held}, ())
    values, (notice,) = read(picture=UPLOAD_PREFIX + "cd" * 32)
    assert values == {"picture": DEFAULT.picture}
    assert "upload it again" in notice


@pytest.mark.parametrize("picture", [HELD, UPLOAD_PREFIX, UPLOAD_PREFIX * 2 + HELD, HELD.upper()])
def test_only_the_whole_name_of_an_upload_is_its_name(picture: str) -> None:
    values, notices = read(picture=picture)
    assert values == {"picture": DEFAULT.picture}
    assert len(notices) == 1


@pytest.mark.parametrize(
    ("layer", "head", "expected"),
    [
        (None, None, (5, "mean")),
        (3, "max", (3, "max")),
        (0, "3", (0, "3")),
        (11, "4", (5, "mean")),
        (-1, "-1", (0, "mean")),
        (5, "²", (5, "mean")),
        (5, "", (5, "mean")),
    ],
)
def test_another_model_keeps_what_it_has_of_layer_and_head(
    layer: int | None, head: str | None, expected: tuple[int, str]
) -> None:
    assert clamp_to_model(layer, head, depth=6, heads=4) == expected
