"""Panes as they are written and read, what they refuse, and the patch that a point falls in."""

import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_engine.analysis.comparison import Pane, Point, letter, pca_layers, query_patch
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec

# Names out of what panes are written with, so that they look like panes themselves; and any others.
PIECES = (
    ":",
    "3",
    ":3",
    ":-1",
    ":11:mean",
    ":7:2",
    ":raw",
    ":cls",
    "shared",
    "C:\\x\\y.pth",
    "#",
    "@6",
    "/",
    "0.5,0.5",
)
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join) | st.text(min_size=1)
fractions = st.floats(0, 1) | st.sampled_from([0, 1, 0.5, 1e-9])
panes = st.builds(
    Pane,
    model=names,
    layer=st.integers(-999, 999),
    head=st.integers(0, 999) | st.sampled_from(["mean", "max", "min"]),
    query=st.sampled_from(["shared", "cls"]) | st.tuples(fractions, fractions),
)


@given(panes)
def test_what_is_written_reads_as_the_same_pane(pane: Pane) -> None:
    assert Pane.parse(str(pane)) == pane


@given(names, st.sampled_from(["3", "-1:mean", "0:2:raw", "7:raw", "7:cls", "4:1:shared", "5:raw:0.25,1"]))
def test_what_reads_as_a_pane_reads_the_same_when_it_is_written_in_full(name: str, rest: str) -> None:
    text = f"{name}:{rest}"
    pane = Pane.parse(text)
    assert text.startswith(f"{pane.model}:{pane.layer}")
    assert Pane.parse(str(pane)) == pane


@pytest.mark.parametrize(
    ("pane", "written"),
    [
        (Pane("m"), "m:-1:mean"),
        (Pane("m", 3, 0), "m:3:0"),
        (Pane("m", 3, np.int64(2)), "m:3:2"),
        (Pane("m", 3, "max", "raw", "cls"), "m:3:max:raw:cls"),
        (Pane("m", 3, 1, query=(0.25, 1)), "m:3:1:raw:0.2500,1.0000"),
        (Pane("m", 3, 1, query=(-0.0, 2 / 3)), "m:3:1:raw:0.0000,0.6667"),
    ],
)
def test_a_pane_is_written_with_what_is_not_usual(pane: Pane, written: str) -> None:
    assert str(pane) == written


@pytest.mark.parametrize(
    ("text", "pane"),
    [
        ("dino_vits8:11:mean", Pane("dino_vits8", 11, "mean")),
        ("m:5", Pane("m", 5, "mean", "raw", "shared")),
        ("m:-2:0", Pane("m", -2, 0)),
        ("m:3:007", Pane("m", 3, 7)),
        ("m:3:raw", Pane("m", 3)),
        ("m:3:cls", Pane("m", 3, query="cls")),
        ("m:3:1:cls", Pane("m", 3, 1, query="cls")),
        ("m:3:1:0.25,0.5", Pane("m", 3, 1, query=(0.25, 0.5))),
        ("m:3:raw:1,0", Pane("m", 3, query=(1, 0))),
        ("m:3:min:raw:shared", Pane("m", 3, "min")),
        ("m:3:1:0.3333333333333333,1", Pane("m", 3, 1, query=(1 / 3, 1))),
        ("C:\\x\\y.pth:11:mean", Pane("C:\\x\\y.pth", 11)),
        ("C:\\x\\y.pth:-1", Pane("C:\\x\\y.pth", -1)),
        ("/a b/c.pt#teacher@6:2:5", Pane("/a b/c.pt#teacher@6", 2, 5)),
        ("two\nlines:1:2", Pane("two\nlines", 1, 2)),
        # The last reading that can be, one with a head before one without.
        ("a:3:7", Pane("a", 3, 7)),
        ("a:3:7:mean", Pane("a:3", 7)),
        ("a:3:7:2", Pane("a:3", 7, 2)),
        ("a:11:mean:4", Pane("a:11:mean", 4)),
        ("a:11:mean:4:2", Pane("a:11:mean", 4, 2)),
        ("a:11:mean:4:2:cls", Pane("a:11:mean", 4, 2, query="cls")),
        ("a:11:mean:raw:cls:4:max", Pane("a:11:mean:raw:cls", 4, "max")),
        ("a:x:3", Pane("a:x", 3)),
        ("a::3", Pane("a:", 3)),
    ],
)
def test_a_pane_is_read_from_its_end(text: str, pane: Pane) -> None:
    assert Pane.parse(text) == pane


def test_a_point_is_held_as_it_is_written() -> None:
    assert Pane("m", query=(0.123456, np.float32(0.5))).query == (0.1235, 0.5)
    assert [type(part) for part in Pane("m", query=(0, np.float32(1))).query] == [float, float]


@pytest.mark.parametrize(
    "text", ["", "m", ":3:mean", "m:", "m:mean", "m:x:mean", "m:3.5:mean", "m:1234567890", "m:٣:mean", "m:3:", "m:3:4:"]
)
def test_what_is_no_pane_is_refused_with_an_example(text: str) -> None:
    expected = (
        rf"MODEL:LAYER:HEAD, and perhaps :METHOD and :QUERY, as 'dino_vits8:11:mean'; got {re.escape(repr(text))}"
    )
    with pytest.raises(SpecError, match=expected):
        Pane.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m:3:meen", "head must be a number from 0 or one of mean, max, min; got 'meen'"),
        ("C:\\y:3:Mean", "head must be a number from 0 or one of mean, max, min; got 'Mean'"),
        ("m:3:mean:row", "no method is called 'row'; did you mean 'raw'? There are: raw"),
        ("m:3:4:sideways7", "no method is called 'sideways7'. There are: raw"),
        (
            "m:3:mean:relevance[target=fish",
            "the bracket after 'relevance' is not closed: end it with ']'; got 'm:3:mean:",
        ),
        ("m:3:mean:raw:CLS", r"query must be one of shared, cls, (y, x) or (top, left, bottom, right); got 'CLS'"),
        ("m:3:mean:raw:0.5", r"query must be one of shared, cls, (y, x) or (top, left, bottom, right); got '0.5'"),
        (
            "m:3:mean:raw:0.5,0.5,0.5",
            r"query must be one of shared, cls, (y, x) or (top, left, bottom, right); got '0.5,0.5,0.5'",
        ),
        ("m:3:mean:raw:0.5,1.5", "point must be two fractions 0..1 of height and width, a region four; got (0.5, 1.5)"),
        ("m:3:mean:-0.5,1", "point must be two fractions 0..1 of height and width, a region four; got (-0.5, 1.0)"),
    ],
)
def test_a_word_that_nothing_is_called_is_named(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Pane.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "the name of a model; got an empty one"),
        ({"head": "median"}, "head must be a number from 0 or one of mean, max, min; got 'median'"),
        ({"head": -1}, "head must be a number from 0 or one of mean, max, min; got -1"),
        ({"method": "ray"}, "no method is called 'ray'"),
        ({"query": "patch"}, "query must be one of shared, cls, (y, x) or (top, left, bottom, right); got 'patch'"),
        ({"query": (0.5, 1.01)}, "two fractions 0..1 of height and width, a region four; got (0.5, 1.01)"),
        ({"query": (-0.01, 0.5)}, "two fractions 0..1 of height and width, a region four; got (-0.01, 0.5)"),
        ({"query": (float("nan"), 0.5)}, "two fractions 0..1 of height and width, a region four; got (nan, 0.5)"),
        ({"query": (0.5,)}, "two fractions 0..1 of height and width, a region four; got (0.5,)"),
        ({"query": (0.5, 0.5, 0.5)}, "two fractions 0..1 of height and width, a region four; got (0.5, 0.5, 0.5)"),
    ],
)
def test_a_pane_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Pane(**{"model": "m", **options})


def test_panes_are_lettered() -> None:
    assert [letter(number) for number in (0, 1, 7)] == ["A", "B", "H"]


GRID = TokenGrid(prefix=3, rows=3, cols=5, patch_size=14)  # 42×70 px of a frame of 53×77


@pytest.mark.parametrize(
    ("point", "patch"),
    [
        ((0, 0), (0, 0)),
        ((0.5, 0.5), (1, 2)),  # 26.5 and 38.5 px
        ((0.25, 0.75), (0, 4)),  # 13.25 and 57.75 px
        ((0.27, 0.7), (1, 3)),  # 14.31 and 53.9 px
        ((0.99, 0.1), (2, 0)),  # below the crop
        ((0.1, 0.99), (0, 4)),  # to the right of it
        ((1, 1), (2, 4)),
    ],
)
def test_a_point_is_of_the_picture_before_the_crop(point: Point, patch: tuple[int, int]) -> None:
    assert query_patch("shared", point, GRID, (53, 77)) == patch
    assert query_patch(point, (0, 0), GRID, (53, 77)) == patch
    assert query_patch(point, None, GRID, (53, 77)) == patch


def test_the_border_of_two_patches_is_where_it_was_after_a_link_has_rounded_it() -> None:
    grid = TokenGrid(prefix=1, rows=7, cols=11, patch_size=8)
    for row, col in product(range(7), range(11)):
        assert query_patch((row / 7, col / 11), None, grid, (56, 88)) == (row, col)
        assert query_patch(Pane("m", query=(row / 7, col / 11)).query, None, grid, (56, 88)) == (row, col)


def test_without_a_point_the_query_is_the_cls_token() -> None:
    assert query_patch("shared", None, GRID, (53, 77)) == "cls"
    assert query_patch("cls", (0.5, 0.5), GRID, (53, 77)) == "cls"


def test_panes_of_tokens_are_written_and_read_as_all_others() -> None:
    for method in ("pca", "similarity"):
        pane = Pane("demo_vit_p8", 3, "mean", method, (0.4, 0.5))
        assert str(pane) == f"demo_vit_p8:3:mean:{method}:0.4000,0.5000"
        assert Pane.parse(str(pane)) == pane
    assert Pane.parse("demo_vit_p8:3:pca").method == "pca"


def test_layers_that_are_fitted_together_are_those_of_pca_panes_once_and_in_order(small_spec: ModelSpec) -> None:
    panes = [Pane("small", layer, method=method) for layer, method in ((-1, "pca"), (0, "raw"), (0, "pca"), (1, "pca"))]
    assert pca_layers(panes, small_spec) == (1, 0)
    assert pca_layers(panes[1:2], small_spec) == ()
    with pytest.raises(SpecError, match=r"layer must be in 0\.\.1"):
        pca_layers([Pane("small", 2, method="pca")], small_spec)
