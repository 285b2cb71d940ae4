"""The PNG: every pane under its title, nothing cut off, what colours mean, warnings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.report.builders import FRAME, SMALL, VALUES, pane_pixels, panel, pixels_of
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.colours import colour_stops
from vit_engine.report.painter import View, length, printable, wrapped
from vit_engine.report.panels import WARNING, Panel, common_legend, panels
from vit_engine.report.sheets import GAP, comparison_sheet
from vit_engine.report.style import Style, Zoom
from vit_engine.report.titles import caption

ALARM, EMPTY = (0xB3, 0x26, 0x1E), (0xF1, 0xEF, 0xEB)
LONG = "a checkpoint of somebody/with_a_name_that_goes_on_and_on_without_any_place_to_break_it_at_all_and_on · layer 11"


def opened(drawn: Sequence[Panel], *, zoom: Zoom | None = None) -> np.ndarray:
    return pixels_of(comparison_sheet(drawn, frame=SMALL, opacity=0.6, caption="caption", zoom=zoom)["png"])


def count(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=-1).sum())


def places(sheet: np.ndarray, pane: np.ndarray) -> list[tuple[int, int]]:
    """Where a pane stands in the sheet, its corner (y, x): all of it, pixel by pixel."""
    height, width = pane.shape[:2]
    ends = sheet.shape[0] - height + 1, sheet.shape[1] - width + 1
    y, x = np.nonzero((sheet[: ends[0], : ends[1]] == pane[0, 0]).all(axis=-1))
    for down, right in ((0, width - 1), (height - 1, 0), (height // 2, width // 2), (height // 3, width // 2)):
        there = (sheet[y + down, x + right] == pane[down, right]).all(axis=-1)
        y, x = y[there], x[there]
    found = zip(y.tolist(), x.tolist(), strict=True)
    return [(y, x) for y, x in found if alike(sheet[y : y + height, x : x + width], pane)]


def alike(part: np.ndarray, pane: np.ndarray) -> bool:
    """But for the rounding of slanted lines, which depends on where they lie."""
    sparse = np.array_equal(part[::40, ::40], pane[::40, ::40])
    return sparse and bool(abs(part.astype(np.int16) - pane).max() <= 1)


def different(count: int) -> list[Panel]:
    """Panels that no two of are the same."""
    return [
        panel(name="ABCDEFGH"[number], coloured=np.roll(VALUES.ravel() + number / 100, number).reshape(2, 3))
        for number in range(count)
    ]


@pytest.mark.parametrize(("number", "across"), [(2, 2), (4, 4), (5, 3), (8, 4)])
def test_panes_stand_side_by_side_more_than_four_in_two_rows(number: int, across: int) -> None:
    drawn = different(number)
    sheet = opened(drawn)
    found = [places(sheet, pane_pixels(one, View.of(SMALL), 0.6)) for one in drawn]
    assert all(len(each) == 1 for each in found)
    corners = [each[0] for each in found]
    left = [GAP + column * (720 + GAP) for column in range(across)]
    assert [x for _, x in corners] == [left[index % across] for index in range(number)]
    rows = [y for y, _ in corners]
    assert len(set(rows)) == (1 if number <= 4 else 2)
    assert rows == sorted(rows)
    assert sheet.shape[1] == across * 720 + (across + 1) * GAP


def test_the_zoomed_part_is_what_is_in_the_picture() -> None:
    zoom = (2.0, 5.0, 7.0, 15.0)
    sheet = opened(different(2), zoom=zoom)
    assert len(places(sheet, pane_pixels(different(2)[1], View.of(SMALL, zoom), 0.6))) == 1


def test_random_weights_are_called_so_in_red_and_trained_ones_are_not() -> None:
    assert count(opened([panel(), panel(name="B")]), ALARM) == 0
    assert count(opened([panel(), panel(name="B", random=True)]), ALARM) > 200
    assert "RANDOM WEIGHTS" in WARNING


def test_a_pane_without_a_map_says_why_in_its_place() -> None:
    missing = Panel("B", "DINO ViT-S/8", message="not downloaded yet: choose another model. " * 9)
    sheet = opened([panel(), missing])
    assert count(sheet, EMPTY) > 200_000
    assert count(sheet, (0x5B, 0x62, 0x70)) > 500  # letters


@pytest.mark.parametrize("number", [2, 8])
def test_long_titles_are_broken_not_cut_off(number: int) -> None:
    short, long = opened(different(number)), opened([replace(one, title=LONG) for one in different(number)])
    assert long.shape[0] > short.shape[0]
    for corner in places(long, pane_pixels(different(number)[0], View.of(SMALL), 0.6)):
        assert corner[0] > GAP + 2 * 38 + 38


@pytest.mark.parametrize("width", [60, 200, 700])
def test_lines_are_no_wider_than_they_may_and_have_all_letters(width: int) -> None:
    lines = wrapped(LONG, 26, width)
    assert all(length(line, 26) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")


def test_lines_break_between_parts_of_a_title_first() -> None:
    width = round(length("Demo ViT /8 · layer 5 · patch 11,", 26))
    assert wrapped("Demo ViT /8 · layer 5 · patch 11, 20", 26, width) == ["Demo ViT /8 · layer 5 ·", "patch 11, 20"]


def test_signs_and_names_in_other_scripts_are_kept() -> None:
    assert printable("модель é.pth, 224 × 300 px, −1 → 2") == "модель é.pth, 224 × 300 px, −1 → 2"


def test_letters_that_the_font_lacks_are_boxes() -> None:
    """Of them, Matplotlib would warn, and control characters are none of XML."""
    assert printable("模型\x07\n.pth") == "□□□□.pth"
    opened([panel(title="模型\x07\n.pth")])


def test_the_legend_is_a_strip_of_all_colours_below_the_panes() -> None:
    stops = colour_stops("viridis")
    sheet = opened([panel(stops=stops), panel(name="B", stops=stops)])
    first, last = (tuple(int(part) for part in stops[end][1][4:-1].split(",")) for end in (0, -1))
    below = sheet[-140:]
    for colour in (first, last):
        assert (abs(below.astype(int) - colour).max(axis=-1) <= 3).sum() > 10


def test_equal_scales_have_one_legend_and_others_each_their_own() -> None:
    same, other = panel(), panel(name="B", limit=0.3)
    assert common_legend([same, replace(same, name="B")]) == same.legend
    assert common_legend([same, Panel("B", "", message="no")]) == same.legend
    assert common_legend([same, other]) is None
    assert common_legend([Panel("B", "", message="no")]) is None
    assert opened([same, other]).shape[0] > opened([same, replace(same, name="B")]).shape[0] - 40


@pytest.mark.parametrize(
    ("changes", "ends", "unit"),
    [
        ({}, ("0", "", "40 % or more"), "attention weight of a patch of 5 px"),
        (
            {"log": True, "low": -3.3979400, "high": -0.39794},
            ("0.04 % or less", "", "40 % or more"),
            "attention weight of a patch of 5 px, logarithmic",
        ),
        (
            {"difference": True, "limit": 0.0123, "unit": "difference of shares"},
            ("-1.23 % or less", "0", "+1.23 % or more"),
            "difference of shares of a patch of 5 px",
        ),
    ],
)
def test_a_legend_says_where_colours_end_and_of_what(changes: dict, ends: tuple[str, str, str], unit: str) -> None:
    legend = panel(**changes).legend
    assert (legend.low, legend.middle, legend.high) == ends
    assert legend.unit == unit


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (Style(), "Attention · query: the point at 40% of the height, 55% across · one colour scale for all panes"),
        (Style(show="difference", scale="own"), "Differences to B · query: the point at 40% of the height, 55% across"),
        (Style(show="mask", scale="log"), "The patches that hold 50 % of the attention"),
        (Style(show="difference", scale="log"), "Differences to B"),  # which are never logarithmic
    ],
)
def test_the_caption_says_what_is_shown(look: Style, words: str, comparison: Comparison) -> None:
    told = caption(comparison, look)
    assert told.startswith(words)
    assert told.endswith("96 × 136 px")
    assert ("logarithmic" in told) == (look == Style(show="mask", scale="log"))
    assert "query: the CLS token" in caption(replace(comparison, point=None), look)


@pytest.mark.parametrize("show", ["map", "difference", "mask"])
def test_real_panes_are_drawn_in_every_way(show: str, comparison: Comparison) -> None:
    look = Style(show=show)
    sheet = pixels_of(comparison_sheet(panels(comparison, look), frame=FRAME, opacity=look.opacity)["png"])
    for one in panels(comparison, look):
        assert len(places(sheet, pane_pixels(one, View.of(FRAME), look.opacity))) == 1
    assert count(sheet, ALARM) > 200
