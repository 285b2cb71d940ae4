"""Scales of maps of several units, and of what is for and against a target."""

from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.report.fixtures_bundles import coarse, comparison, fine, shown
from vit_engine.analysis.comparison import Pane, PaneResult
from vit_engine.report.colours import diverging_stops
from vit_engine.report.panels import common_legend, panels
from vit_engine.report.style import Style
from vit_engine.report.titles import caption, title
from vit_engine.trace.targets import ClassTarget

ALL = Style(clip=100)


def of_method(number: int, values: np.ndarray, method: str, unit: str, **pane: object) -> PaneResult:
    one = shown(number, values)
    pane_of = Pane(one.pane.model, 0, method=method, **pane)
    return replace(one, pane=pane_of, map=replace(one.map, unit=unit), target=ClassTarget(3, "a.b:c"))


def test_panes_share_a_scale_only_with_those_of_their_unit() -> None:
    raw, relevance = fine((1, 2, 20)), fine((1, 2, 0.3))
    panes = comparison(
        shown(0, raw),
        of_method(1, relevance, "relevance", "relevance", options=(("start", 1),), target="3"),
        of_method(2, 2 * relevance, "relevance", "relevance"),
        of_method(3, coarse((0, 0, 9)), "legrad", "gradient"),
    )
    drawn = panels(panes, ALL)
    assert [panel.limit for panel in drawn] == pytest.approx([0.2, 0.006, 0.006, 0.09])
    assert common_legend(drawn) is None
    assert [panel.legend.high for panel in drawn if panel.legend] == [
        "20 % or more",
        "0.006 or more",
        "0.006 or more",
        "0.09 or more",
    ]
    assert "one colour scale for the panes of one unit" in caption(panes, ALL)
    assert caption(panes, ALL).startswith("Attention, relevance and LeGrad · ")
    assert title(panes.results[1]) == "Made · Relevance · CLS · from layer 1 · target: class 3, a.b:c"


def test_what_is_for_and_against_has_zero_in_the_middle_of_its_colours() -> None:
    values = fine((1, 2, 20), (3, 3, 5)) - fine((0, 0, 40))
    panes = comparison(of_method(0, values, "input_gradient", "attribution"), shown(1, fine((1, 2, 20))))
    signed, plain = panels(panes, ALL)
    assert (signed.low, signed.high) == pytest.approx((-0.4, 0.4))
    assert signed.stops == diverging_stops()
    assert (signed.signed, signed.difference, plain.signed) == (True, False, False)
    assert signed.legend is not None
    assert (signed.legend.low, signed.legend.middle, signed.legend.high) == ("-0.4 or less", "0", "+0.4 or more")
    assert set(signed.pixels.ravel().tolist()) == {124}, "the picture is grey under two colours"
    assert panels(panes, replace(ALL, show="mask"))[0].note == "no mask: values for and against have no mass"
    assert panels(panes, replace(ALL, scale="log"))[0].coloured.min() == pytest.approx(-0.4)
    (own, kept) = panels(panes, replace(ALL, show="difference"))
    assert own.signed
    assert kept.note.startswith("no difference to A: ")


def test_a_map_of_nothing_says_why() -> None:
    one = replace(of_method(0, fine(), "relevance", "relevance"), note="Nothing raises the target.")
    (panel, _) = panels(comparison(one, shown(1, fine((1, 2, 20)))), ALL)
    assert panel.note == "zero everywhere. Nothing raises the target."
