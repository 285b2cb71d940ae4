"""The link of the page Heads, to and fro, and what becomes of what it cannot have."""

import pytest

from dashboard.heads.state import (
    DEFAULT,
    MAX_OVERLAY,
    PROFILES,
    THRESHOLDS,
    HeadsView,
    compares,
    fitting,
)
from dashboard.links.address import Parameters
from dashboard.links.codec import Available, from_link, names, parameters, to_link
from dashboard.services import catalogue
from vit_engine.trace.statistics import STATISTICS

MODEL = "demo_vit_p16"  # six layers
NAMES = names(HeadsView)
FULL = HeadsView("cls_gini", "distance", ("demo_vit_p8", "random_vit_tiny_p16"), "unlike", "all", 3, "number", 0.2)


def read(link: Parameters, model: str = MODEL) -> tuple[HeadsView, tuple[str, ...]]:
    available = Available(lambda name: (catalogue.models().get(name), ""), lambda _: None, model)
    values, notices = from_link(HeadsView, link, available)
    return HeadsView(**values), notices


def as_parameters(view: HeadsView) -> Parameters:
    return {name: [value] if isinstance(value, str) else value for name, value in to_link(view).items()}


def test_every_field_is_in_the_link_by_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(parameters(HeadsView)) == 8
    assert to_link(FULL).keys() == set(NAMES)
    assert to_link(DEFAULT) == {}
    for name in ("picture", "model", "size", "layer", "head", "query", "order", "scale"):  # of the other pages
        assert name not in NAMES


def test_a_link_reopens_what_it_was_made_from() -> None:
    assert read(as_parameters(FULL)) == (FULL, ())
    assert read({}) == (DEFAULT, ())


@pytest.mark.parametrize(
    ("link", "field", "value", "notices"),
    [
        ({"statistic": ["layer"]}, "statistic", DEFAULT.statistic, 1),
        ({"statistic": ["cls_gini", "distance_px"]}, "statistic", "distance_px", 0),
        ({"profile": ["depth"]}, "profile", "statistic", 1),
        ({"ranking": [""]}, "ranking", "focused", 1),
        ({"similar": ["both"]}, "scope", "layer", 1),
        ({"similar_order": ["head"]}, "order", "cluster", 1),
        ({"similar_layer": ["2"]}, "layer", 2, 0),
        ({"similar_layer": ["-6"]}, "layer", 0, 0),
        ({"similar_layer": ["-1"]}, "layer", None, 0),
        ({"similar_layer": ["5"]}, "layer", None, 0),
        ({"similar_layer": ["6"]}, "layer", None, 1),
        ({"similar_layer": ["-7"]}, "layer", 0, 1),
        ({"similar_layer": ["2.5"]}, "layer", 2, 1),
        ({"similar_layer": ["nan"]}, "layer", None, 1),
        ({"similar_layer": ["inf"]}, "layer", None, 1),
        ({"similar_layer": ["x"]}, "layer", None, 1),
        ({"redundant": ["0.2"]}, "redundant", 0.2, 0),
        ({"redundant": ["0.14"]}, "redundant", 0.1, 1),
        ({"redundant": ["-3"]}, "redundant", 0.01, 1),
        ({"redundant": ["much"]}, "redundant", 0.05, 1),
        ({"overlay": ["demo_vit_p8", "gpt-7"]}, "overlay", ("demo_vit_p8",), 1),
        ({"overlay": [MODEL, "demo_vit_p8"]}, "overlay", ("demo_vit_p8",), 0),
        ({"overlay": ["demo_vit_p8", "demo_vit_p8"]}, "overlay", ("demo_vit_p8",), 0),
    ],
)
def test_what_a_link_cannot_have_is_brought_to_what_there_is_and_told(
    link: Parameters, field: str, value: object, notices: int
) -> None:
    view, told = read(link)
    assert getattr(view, field) == value
    assert view == HeadsView(**{field: value})
    assert len(told) == notices
    (name,) = link
    assert all(f"The link asks for {name} " in notice for notice in told)


def test_a_notice_says_what_was_asked_for_and_what_is_used_and_stays_short() -> None:
    (told,) = read({"redundant": ["0.14"]})[1]
    assert told == "The link asks for redundant '0.14', which is not available here; using 0.1."
    (told,) = read({"similar_layer": ["99"]})[1]
    assert told == "The link asks for similar_layer '99', which is not available here; using 5."
    (told,) = read({"statistic": ["x" * 999]})[1]
    assert len(told) < 150


def test_too_many_models_are_cut_to_the_first_with_a_notice_each() -> None:
    names = [name for name in catalogue.models() if name != MODEL][: MAX_OVERLAY + 2]
    view, told = read({"overlay": names})
    assert view.overlay == tuple(names[:MAX_OVERLAY])
    assert len(told) == 2
    assert f"the first {MAX_OVERLAY}" in told[0]


def test_layers_are_those_of_the_model_in_use() -> None:
    assert read({"similar_layer": ["9"]}, "random_vit_tiny_p16") == (HeadsView(layer=9), ())


def test_models_to_overlay_exist_once_and_are_not_in_use() -> None:
    there = {"a", "b", "c", "d", "e"}
    assert fitting(["b", "x", "a", "b", "c", "d", "e"], models=there, model="a") == ("b", "c", "d")


def test_the_profile_is_of_the_chosen_statistic_or_of_its_own() -> None:
    assert [HeadsView("cls_gini", profile).profiled for profile in PROFILES] == [
        "cls_gini",
        "cls_entropy_normalised",
        "distance_px",
    ]
    assert all(HeadsView("cls_gini", profile).profiled in STATISTICS for profile in PROFILES)


def test_across_token_counts_only_normalised_entropies_and_distances_compare() -> None:
    same, other = [(50, 48), (50, 48)], [(50, 48), (193, 192)]
    assert all(compares(name, same) for name in STATISTICS)
    assert [name for name in STATISTICS if compares(name, other)] == [
        "cls_entropy_normalised",
        "cls_patch_entropy_normalised",
        "mean_entropy_normalised",
        "mean_patch_entropy_normalised",
        "distance_px",
        "distance_fraction",
    ]
    assert not compares("cls_gini", [(50, 48), (54, 48)])


def test_thresholds_ascend_and_hold_the_default() -> None:
    assert list(THRESHOLDS) == sorted(THRESHOLDS)
    assert DEFAULT.redundant in THRESHOLDS
