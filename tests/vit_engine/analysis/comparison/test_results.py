"""What panes show is what the trace says, and a comparison is of one picture at one size."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.vit_engine.analysis.comparison.fixtures_analyses import FRAME, Analysed, analysed
from vit_engine.analysis.comparison import MAX_PANES, Comparison, Pane, evaluate_pane
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.weights import LoadedModel


@pytest.mark.parametrize(
    ("options", "layer", "query"),
    [
        ({"layer": -1, "head": 3}, 5, (4, 5)),
        ({"layer": 2, "head": "max"}, 2, (4, 5)),
        ({"layer": -6, "head": 0, "query": "cls"}, 0, "cls"),
        ({"layer": 1, "query": (1, 0)}, 1, (5, 0)),
    ],
)
def test_a_pane_shows_the_traces_map_of_its_own_query(
    fine: Analysed, options: dict[str, Any], layer: int, query: Query
) -> None:
    one = fine.shown(2, point=(0.7, 0.6), **options)  # 37.1 and 46.2 px: in patches of 8 px, row 4 and column 5
    assert (one.name, one.pane.layer, one.query) == ("C", layer, query)
    assert one.pane == Pane(**{"model": "demo_vit_p8", **options, "layer": layer})
    expected = fine.trace.attention_map(layer, options.get("head", "mean"), query)
    assert one.map.values.tolist() == expected.values.tolist()
    assert (one.map.label, one.map.grid) == (expected.label, fine.trace.grid)
    assert (one.trace, one.pixels, one.report) == (fine.trace, fine.pixels, fine.report)


def test_one_point_is_another_patch_in_each_model(fine: Analysed, coarse: Analysed, other: Analysed) -> None:
    shown = [one.shown(point=(0.95, 0.9)) for one in (fine, coarse, other)]  # 50.35 and 69.3 px
    assert [one.query for one in shown] == [(5, 8), (2, 3), (12, 17)]
    assert [one.query for one in (fine.shown(), coarse.shown(), other.shown())] == ["cls"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 6}, r"layer must be in 0\.\.5 for 'demo_vit_p8'; got 6"),
        ({"layer": -7}, r"layer must be in 0\.\.5 for 'demo_vit_p8'; got -7"),
        ({"head": 4}, r"head must be in 0\.\.3 or one of mean, max, min for 'demo_vit_p8'; got 4"),
    ],
)
def test_what_the_model_does_not_have_is_refused(fine: Analysed, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        fine.shown(**options)


def test_pixels_or_a_map_of_another_grid_are_refused(fine: Analysed, coarse: Analysed) -> None:
    with pytest.raises(SpecError, match=r"pane A needs a map .* pixels \(48, 72, 3\); got .* \(48, 64, 3\)"):
        evaluate_pane(0, Pane("demo_vit_p8"), fine.trace, coarse.pixels, fine.report, frame=FRAME, point=None)
    one = fine.shown(1)
    with pytest.raises(SpecError, match=r"pane B needs a map on .*rows=6.* got .*rows=3"):
        replace(one, map=coarse.trace.attention_map())
    with pytest.raises(SpecError, match=r"pane B needs"):
        replace(one, pixels=np.zeros((72, 48, 3), np.uint8))


def test_the_reference_is_the_pane_of_that_name_or_the_first_that_is_shown(fine: Analysed, coarse: Analysed) -> None:
    shown = fine.shown(1), coarse.shown(3)  # A and C could not be shown
    assert Comparison(shown, FRAME, "D").base is shown[1]
    assert Comparison(shown, FRAME, "B").base is shown[0]
    assert Comparison(shown, FRAME, "C").base is shown[0]
    assert Comparison(shown, FRAME).base is shown[0]


def test_a_comparison_of_none_of_too_many_or_of_the_same_name_is_refused(fine: Analysed) -> None:
    most = tuple(fine.shown(number) for number in range(MAX_PANES + 1))
    assert len(Comparison(most[:-1], FRAME).results) == MAX_PANES == 8
    for shown in ((), most, (most[0], most[1], most[0])):
        names = ", ".join(repr(one.name) for one in shown)
        with pytest.raises(SpecError, match=rf"needs 1\.\.8 panes with names of their own; got \[{names}\]"):
            Comparison(shown, FRAME)


def test_a_comparison_of_several_pictures_is_refused(fine: Analysed, small: LoadedModel) -> None:
    with pytest.raises(SpecError, match="panes of one picture; got several pictures"):
        Comparison((fine.shown(0), analysed(small, seed=1).shown(1)), FRAME)


@pytest.mark.parametrize(("size", "got"), [((61, 77), "rows=15"), ((53, 81), "cols=20")])
def test_a_comparison_of_several_sizes_is_refused(
    fine: Analysed, small: LoadedModel, size: tuple[int, int], got: str
) -> None:
    with pytest.raises(SpecError, match=rf"pane B of a picture of 53×77 px must be on .*rows=13, cols=19.*{got}"):
        Comparison((fine.shown(0), analysed(small, size=size).shown(1)), FRAME)


@pytest.mark.parametrize("keep", [-0.01, 1.01])
def test_a_comparison_keeps_a_share(fine: Analysed, keep: float) -> None:
    with pytest.raises(SpecError, match=rf"share of the mass to keep must be in 0\.\.1; got {keep}"):
        Comparison((fine.shown(),), FRAME, keep=keep)
