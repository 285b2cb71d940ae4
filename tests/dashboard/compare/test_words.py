"""What is said of several panes at once: their targets, their scores, and what they share."""

from dataclasses import replace

import pytest

import vit_engine as ve
from dashboard.compare.faithfulness import common_targets, left_out
from dashboard.compare.panes import Problem
from dashboard.compare.tables import alike
from dashboard.compare.texts import different_scores, different_targets, pane_titles, shared_columns
from dashboard.links.targets import MIDDLE, write_point
from dashboard.services import pictures
from dashboard.services.maps import MapRequest
from tests.dashboard.support import ignore, request
from tests.vit_engine.analysis.comparison.fixtures_analyses import FRAME, Analysed, analysed
from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.trace.targets import ClassTarget, NormTarget, PatchTarget, Target

RING, FISH = ClassTarget(1, "ring"), ClassTarget(7, "fish")


@pytest.fixture(scope="module")
def coarse() -> Analysed:
    return analysed(ve.load_model("demo_vit_p16", device="cpu"))


@pytest.fixture(scope="module")
def fine() -> Analysed:
    return analysed(ve.load_model("demo_vit_p8", device="cpu"))


def explaining(shown: PaneResult, method: str, target: Target | None = None, asked: str = "") -> PaneResult:
    """The pane as one of this method, whatever its map."""
    return replace(shown, pane=replace(shown.pane, method=method, target=asked), target=target)


def test_panes_that_explain_different_targets_say_which_and_what_to_do(coarse: Analysed, fine: Analysed) -> None:
    panes = (
        explaining(coarse.shown(0), "relevance", NormTarget(), "norm"),
        explaining(coarse.shown(1), "legrad", RING),
        coarse.shown(2),
        explaining(coarse.shown(3), "grad_cam", RING),
    )
    text = different_targets(Comparison(panes, FRAME))
    assert "different targets (A: norm of the image embedding; B and D: class 1, ring)" in text
    assert text.endswith("Choose one target in the panes' menus.")
    assert different_targets(Comparison(panes[1:], FRAME)) == ""
    other = explaining(fine.shown(4), "relevance", FISH)
    assert 'every model has "Similarity to a patch"' in different_targets(Comparison((*panes, other), FRAME))


def test_one_point_of_the_picture_is_one_target_in_all_grids(coarse: Analysed, fine: Analysed) -> None:
    first = explaining(coarse.shown(0), "relevance", PatchTarget(1, 2), MIDDLE)
    same = explaining(fine.shown(1), "relevance", PatchTarget(3, 4), MIDDLE)
    automatic = explaining(fine.shown(1), "relevance", PatchTarget(3, 4))
    elsewhere = explaining(fine.shown(1), "relevance", PatchTarget(0, 0), write_point(0, 0))
    said = [different_targets(Comparison((first, each), FRAME)) for each in (same, automatic, elsewhere)]
    assert [bool(text) for text in said] == [False, False, True]


def test_panes_are_called_by_their_method_where_methods_differ(coarse: Analysed) -> None:
    panes = coarse.shown(0), explaining(coarse.shown(2), "relevance", RING)
    assert pane_titles(Comparison(panes, FRAME)) == {"A": "A · raw attention", "C": "C · relevance"}
    assert pane_titles(Comparison(panes[:1], FRAME)) == {"A": "A"}


def test_heads_of_one_model_and_layer_stand_once_under_the_reference(coarse: Analysed, fine: Analysed) -> None:
    panes = coarse.shown(0, layer=5), fine.shown(1, layer=5), coarse.shown(2, layer=5), coarse.shown(3, layer=0)
    comparison = Comparison(panes, FRAME, "C")
    by_layer, whole = (alike(comparison, by_layer=each) for each in (True, False))
    assert by_layer == {"C": ("A", "C"), "B": ("B",), "D": ("D",)}
    assert whole == {"C": ("A", "C", "D"), "B": ("B",)}
    assert shared_columns(comparison, by_layer, by_layer=True) == (
        "A and C share a column: they are of one model and layer."
    )
    assert shared_columns(comparison, whole, by_layer=False).startswith("A, C and D share a column: they are of one")
    assert shared_columns(comparison, {"A": ("A",), "B": ("B",)}, by_layer=True) == ""


def test_different_scores_are_told_once() -> None:
    same = "probability of class 1, ring"
    assert different_scores({"A": same, "B": same}) == ""
    text = different_scores({"A": same, "B": "similarity to the picture itself", "C": same})
    assert text.endswith("A and C: probability of class 1, ring; B: similarity to the picture itself.")


def test_a_pane_that_is_not_measured_says_why(coarse: Analysed) -> None:
    panes = coarse.shown(0), explaining(coarse.shown(2), "similarity"), coarse.shown(3)
    measured = dict.fromkeys("A")
    why = left_out(measured, Comparison(panes, FRAME), {1: Problem("failed", "failed", "In full.")})
    assert why == {
        "B": "no map (failed)",
        "C": "a map of tokens, which is no evidence for a score",
        "D": "its map is zero everywhere, so it puts no patch before another",
    }


def test_the_common_target_of_a_model_is_that_of_all_its_panes_that_have_one() -> None:
    def of(model: str, method: str, target: str = "") -> MapRequest:
        picture = request(pictures.sample_picture("scene_1"), model, 96)
        return MapRequest(picture, picture.analyse(ignore), ve.find_method(method), 5, target=target)

    raw, fish = of("demo_vit_p16", "raw"), of("demo_vit_p16", "relevance", "7")
    assert common_targets([raw]) == {}
    assert common_targets([raw, fish, of("demo_vit_p8", "legrad", "1")]) == {"demo_vit_p16": "7", "demo_vit_p8": "1"}
    assert common_targets([fish, of("demo_vit_p16", "grad_cam", "norm")]) == {}
