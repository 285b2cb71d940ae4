"""Attention sinks on Explore: named with their shares, and set aside in every colour scale by one switch."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.testing import click_patch, decode_figure
from tests.dashboard.support import (
    DETAILS,
    assert_drawn,
    assert_works,
    head_cells,
    hover_texts,
    open_small,
    small_trace,
)
from vit_engine.analysis import methods
from vit_engine.report.colours import MARK, MARK_EDGE

# Of layer 3 of SMALL: head 0 has the CLS token, head 1 nothing, heads 2 and 3 patch row 3, col 6.
LAYER, PATCH = 3, (3, 6)
CLIP = "100"  # the scale ends at the largest value: a sink's, unless it is set aside


def line(at: AppTest) -> str:
    """The text that names sinks; empty where there is none."""
    texts = [text.value.replace("\u00a0", " ") for text in at.main.caption]
    return next((text for text in texts if text.startswith(("Sink", "No sinks"))), "")


def has_switch(at: AppTest) -> bool:
    return any(button.key == keys.SET_ASIDE for button in at.button)


def outlined(at: AppTest) -> list[tuple[float, float]]:
    """(row, col) of the middles of all outlines of the large map."""
    shapes = decode_figure(at, keys.OVERLAY)["layout"].get("shapes", [])
    assert all((shape["x1"] - shape["x0"], shape["y1"] - shape["y0"]) == (1, 1) for shape in shapes)
    return [(shape["y0"] + 0.5, shape["x0"] + 0.5) for shape in shapes]


def limit(at: AppTest) -> float:
    return decode_figure(at, keys.OVERLAY)["attention"]["zmax"]


def without(values: np.ndarray, *patches: tuple[int, int]) -> np.ndarray:
    """The values of a map (…, rows, cols) but for these patches."""
    kept = np.ones(values.shape[-2:], dtype=bool)
    for patch in patches:
        kept[patch] = False
    return values[..., kept]


def head_sinks(head: int) -> list[tuple[int, int]]:
    return [sink.patch for sink in ve.sinks(small_trace(), layer=LAYER, head=head) if sink.patch]


def test_the_view_of_these_tests_has_the_sinks_that_they_speak_of() -> None:
    assert [head_sinks(head) for head in range(4)] == [[], [], [PATCH], [PATCH]]
    assert [sink.name for sink in ve.sinks(small_trace(), layer=LAYER, head=0)] == ["CLS token"]


def test_a_patch_that_most_queries_attend_to_is_named_with_its_shares() -> None:
    at = open_small(layer="3", head="2")
    (sink,) = ve.sinks(small_trace(), layer=LAYER, head=2)
    assert line(at) == (
        f"Sink: **patch row 3, col 6** takes {100 * sink.attention:.0f} % of head 2's attention, the most for "
        f"{100 * sink.queries:.0f} % of queries"
    )
    assert "at least twice the 2 % that even attention would give each token." in next(
        text.proto.help.replace("\u00a0", " ") for text in at.main.caption if text.value.startswith("Sink")
    )
    assert_drawn(at, small_trace(), layer=LAYER, head=2)  # and nothing else changes
    assert outlined(at) == []


def test_where_there_is_none_nothing_is_said_and_a_prefix_token_is_named_and_not_set_aside() -> None:
    at = open_small(layer="3", head="1")
    assert (line(at), has_switch(at)) == ("", False)
    at.segmented_control(key=keys.HEAD).set_value("0").run()
    assert line(at).startswith("Sink: **CLS token** takes ")
    assert not has_switch(at)


@pytest.mark.parametrize("head", ["mean", "max", "min"])
def test_over_all_heads_each_token_is_named_once_by_its_strongest_head_and_patches_come_first(head: str) -> None:
    assert line(open_small(layer="3", head=head)).startswith("Sinks: **patch row 3, col 6** takes 90 % of head 2's ")
    assert line(open_small(layer="3", head=head)).endswith(" · **CLS token** 9.9 % of head 0's, for 61 %")


def test_two_are_named_and_the_others_counted() -> None:
    told = line(open_small(layer="5"))
    assert told.count("**") == 4
    assert told.endswith(" · and 1 more")  # patches of heads 0 and 3, of head 1, and of head 2


def test_the_switch_takes_the_sink_out_of_the_scale_outlines_it_and_keeps_its_weight() -> None:
    at = open_small(layer="3", head="2", scale="own", clip=CLIP)
    values = small_trace().attention_map(LAYER, 2).values
    assert limit(at) == pytest.approx(values.max(), rel=1e-4)
    at.button(key=keys.SET_ASIDE).click().run()
    assert_works(at)
    drawn = decode_figure(at, keys.OVERLAY)["attention"]
    assert drawn["zmax"] == pytest.approx(without(values, PATCH).max(), rel=1e-4)
    np.testing.assert_allclose(drawn["z"], values, **DETAILS)
    assert hover_texts(drawn)[PATCH].endswith(f"weight {drawn['z'][PATCH]:.3%}")
    assert set(outlined(at)) == {PATCH}
    (legend,) = [html.value for html in at.html if 'class="legend"' in html.value]
    assert f"≥ {drawn['zmax']:.2%} of attention" in legend
    at.button(key=keys.SET_ASIDE).click().run()
    assert limit(at) == pytest.approx(values.max(), rel=1e-4)
    assert outlined(at) == []


def test_an_outline_is_thin_and_bright_over_wide_and_dark_and_beside_the_picture_on_both() -> None:
    at = open_small(layer="3", head="2", sinks="aside", view="beside")
    shapes = decode_figure(at, keys.OVERLAY)["layout"]["shapes"]
    looks = [(shape["xref"], shape["yref"], shape["line"]["color"]) for shape in shapes]
    assert looks == [("x2", "y2", MARK_EDGE), ("x2", "y2", MARK), ("x", "y", MARK_EDGE), ("x", "y", MARK)]
    assert shapes[0]["line"]["width"] > shapes[1]["line"]["width"]


@pytest.mark.parametrize("scale", ["shared", "own"])
def test_every_head_leaves_out_its_own_sinks(scale: str) -> None:
    at = open_small(layer="3", head="1", sinks="aside", scale=scale, clip=CLIP)
    trace = small_trace()
    maps = trace.head_maps(LAYER)
    ends = np.array([without(maps[head], *head_sinks(head)).max() for head in range(4)])
    ends = ends if scale == "own" else np.full(4, ends.max())
    assert ends[2] < maps[2].max() / 2  # otherwise nothing here could fail
    for key in (keys.HEAD_GRID, keys.MOSAIC):
        cells = head_cells(at, key, *trace.grid.shape)
        for head in range(4):
            np.testing.assert_allclose(cells[LAYER, head], maps[head] / ends[head], **DETAILS)
    assert limit(at) == pytest.approx(ends[1], rel=1e-4)
    assert outlined(at) == []  # head 1 has none
    assert line(at) == "No sinks here; those of other layers and heads are set aside."
    assert has_switch(at)


def test_a_map_of_all_heads_leaves_out_the_sinks_of_each() -> None:
    at = open_small(layer="5", sinks="aside", clip=CLIP)
    every = {sink.patch for head in range(4) for sink in ve.sinks(small_trace(), layer=5, head=head) if sink.patch}
    assert len(every) == 3
    assert set(outlined(at)) == every
    values = small_trace().attention_map(5).values
    assert limit(at) == pytest.approx(without(values, *every).max(), rel=1e-4)


def test_the_choice_stands_in_the_link_and_stays_on_other_pages_and_for_other_queries() -> None:
    at = open_small(layer="3", head="2")
    assert "sinks" not in at.query_params
    at.button(key=keys.SET_ASIDE).click().run()
    assert at.query_params["sinks"] == "aside"
    at.switch_page("views/heads.py").run()
    assert not at.exception
    at.switch_page("views/explore.py").run()
    assert at.query_params["sinks"] == "aside"
    assert set(outlined(click_patch(at, row=0, col=0))) == {PATCH}


def test_a_link_with_another_word_shows_them_and_says_so() -> None:
    at = open_small(layer="3", head="2", sinks="gone")
    assert "sinks 'gone', which is not available here; using shown" in at.warning[0].value.replace("\\", "")
    assert outlined(at) == []


def test_a_picture_of_one_patch_that_is_a_sink_keeps_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = np.ones(small_trace().head_maps(0).shape, dtype=bool)
    monkeypatch.setattr("dashboard.explore.sinks.sink_patches", lambda *_, **__: everything)
    assert_drawn(open_small(sinks="aside"), small_trace(), layer=5)


def test_other_maps_of_attention_leave_sinks_out_and_maps_of_other_things_know_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_small(layer="3", head="2", sinks="aside", method="column", clip=CLIP)
    column = ve.find_method("column").attribute(small_trace(), layer=LAYER).heads
    kept = [without(column[head], *head_sinks(head)).max() for head in range(4)]
    assert limit(at) == pytest.approx(max(kept), rel=1e-4)
    assert line(at).startswith("Sink: **patch row 3, col 6**")

    def count(run: ve.Run) -> np.ndarray:
        return np.ones((1, *run.trace.grid.shape), dtype=np.float32)

    counted = ve.Method("count_2", "Counted", "Counts.", "nobody", "a number", count, depends_on=frozenset())
    monkeypatch.setattr(methods, "METHODS", (*ve.METHODS, counted))
    at = open_small(layer="3", head="2", sinks="aside", method="count_2")
    assert_works(at, walk=())
    assert (line(at), has_switch(at), outlined(at)) == ("", False, [])
