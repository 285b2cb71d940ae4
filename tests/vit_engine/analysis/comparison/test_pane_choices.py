"""What stands in the brackets of a pane, written, read and refused; and regions as queries."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_engine.analysis.comparison import Pane, query_patch
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid

# Out of what panes are written with, so that a target looks like brackets and panes itself; and any others.
PIECES = (";", "]", "[", "=", ":", "%", "%3B", "target", "start=2", ":3:mean", "text:", "a cat", "ü", "\n")
targets = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text()
fractions = st.floats(0, 1)
regions = st.tuples(fractions, fractions, fractions, fractions).filter(
    lambda box: round(box[0], 4) < round(box[2], 4) and round(box[1], 4) < round(box[3], 4)
)
rollouts = st.fixed_dictionaries(
    {},
    optional={
        "fuse": st.sampled_from(["mean", "max", "min"]),
        "discard": st.floats(0, 0.99),
        "start": st.integers(0, 999),
        "residual": st.floats(0, 1),
    },
)
names = st.sampled_from(["m", "a:3", "m:3:mean:rollout[start=2]", "m[", "x]:1", "[start=1]"])


@given(names, rollouts, st.sampled_from(["shared", "cls", (0.5, 0.25)]) | regions)
def test_options_are_read_as_they_are_written(name: str, options: dict[str, Any], query: Any) -> None:
    pane = Pane(name, 3, 1, "rollout", query, tuple(options.items()))
    assert Pane.parse(str(pane)) == pane
    assert hash(Pane.parse(str(pane))) == hash(pane)
    given = {"fuse": "mean", "discard": 0, "start": 0, "residual": 0.5} | options
    assert {"fuse": "mean", "discard": 0, "start": 0, "residual": 0.5} | pane.chosen == given


@given(names, targets)
def test_a_target_is_read_as_it_is_written_whatever_it_holds(name: str, target: str) -> None:
    pane = Pane(name, 3, 1, "relevance", options=(("start", 2),), target=target)
    assert pane.target == target.strip()
    assert Pane.parse(str(pane)) == pane


@pytest.mark.parametrize(
    ("pane", "text"),
    [
        (
            Pane("m", 5, method="relevance", options=(("start", 2),), target="281"),
            "m:5:mean:relevance[start=2;target=281]",
        ),
        (Pane("m", 5, method="relevance", options=(("start", 0),)), "m:5:mean:relevance"),
        (
            Pane("m", 5, method="rollout", options=(("residual", 0.25), ("discard", 0.9), ("fuse", "max"))),
            "m:5:mean:rollout[fuse=max;discard=0.9;residual=0.25]",
        ),
        (
            Pane("m", 5, 1, "legrad", "cls", target="text:a [cat]; 50%"),
            "m:5:1:legrad[target=text%3Aa %5Bcat%5D%3B 50%25]:cls",
        ),
        (Pane("m", 5, query=(0.1, 0.2, 0.3, 0.4)), "m:5:mean:raw:0.1000,0.2000,0.3000,0.4000"),
    ],
)
def test_panes_are_written_in_one_way(pane: Pane, text: str) -> None:
    assert str(pane) == text
    assert Pane.parse(text) == pane


@pytest.mark.parametrize(
    ("text", "pane"),
    [
        ("m:5:relevance[target=norm]", Pane("m", 5, method="relevance", target="norm")),
        ("m:5:mean:relevance[]:cls", Pane("m", 5, method="relevance", query="cls")),
        (
            "m:5:mean:relevance[target=tabby%2C%20tabby%20cat]",
            Pane("m", 5, method="relevance", target="tabby, tabby cat"),
        ),
        (
            "m:5:mean:relevance[target= 281 ;start=02]",
            Pane("m", 5, method="relevance", options=(("start", 2),), target="281"),
        ),
        ("m:5:mean:Grad-CAM[target=3]", Pane("m", 5, method="grad_cam", target="3")),
        ("m:5:mean:legrad[target=text:a cat, sitting]", Pane("m", 5, method="legrad", target="text:a cat, sitting")),
        ("m:5:mean:legrad[target=picture:a,b%3Dc]", Pane("m", 5, method="legrad", target="picture:a,b=c")),
        ("m:5:mean:legrad[target=patch:3,7]", Pane("m", 5, method="legrad", target="patch:3,7")),
    ],
)
def test_other_ways_to_write_it_are_read(text: str, pane: Pane) -> None:
    assert Pane.parse(text) == pane


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m:5:mean:relevance[end=2]", "the method 'relevance' has no option 'end'; it has start"),
        ("m:5:mean:raw[start=2]", "the method 'raw' has no option 'start'; it has none"),
        ("m:5:mean:raw[target=2]", "the method 'raw' depends on no target; got '2'"),
        ("m:5:mean:rollout[start=-1]", "start must be a whole number from 0; got -1"),
        ("m:5:mean:rollout[start=x]", "start must be a whole number; got 'x'"),
        ("m:5:mean:rollout[discard=1]", "discard must be a number in 0..0.99; got 1.0"),
        ("m:5:mean:rollout[residual=nan]", "residual must be a number in 0..1; got nan"),
        ("m:5:mean:rollout[fuse=sum]", "fuse must be one of 'mean', 'max', 'min'; got 'sum'"),
        (
            "m:5:mean:rollout[start]",
            "options of a pane are NAME=VALUE;NAME=VALUE, as 'start=2;target=281'; got 'start'",
        ),
        (
            "m:5:mean:relevance[start=2,target=281]",
            "options of a pane are separated by ';', not by ',': write 'start=2;target=281'; "
            "got 'start=2,target=281'. Where '=' belongs to a value, write it as %3D.",
        ),
        ("m:5:mean:relevance[target=281 , start=2]", "write 'target=281 ; start=2'"),
        ("m:5:mean:legrad[target=text:a cat, sitting,start=2]", "write 'target=text:a cat, sitting;start=2'"),
        ("m:5:mean:rollout[fuse=max,strat=2]", "write 'fuse=max;strat=2'"),
        ("m:5:mean:rollout[start=1;start=2]", "'start' of a pane's options must be named once"),
        ("m:5:mean:rolout[start=1]", "no method is called 'rolout'; did you mean 'rollout'?"),
        ("m:5:mean:raw:0.5,0.5,0.4,0.9", "a region must be (top, left, bottom, right), top < bottom and left < right"),
        ("m:5:mean:raw:0,0,1,1.5", "two fractions 0..1 of height and width, a region four; got (0.0, 0.0, 1.0, 1.5)"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Pane.parse(text)


def test_options_of_another_order_are_the_same_pane() -> None:
    pane = Pane("m", 5, method="rollout", options=(("start", 1), ("fuse", "min")))
    assert pane == replace(pane, options=(("fuse", "min"), ("start", 1), ("discard", 0.0)))


GRID = TokenGrid(prefix=3, rows=3, cols=5, patch_size=14)  # 42×70 px of a frame of 53×77


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ((0.0, 0.0, 1.0, 1.0), (0, 0, 2, 4)),
        ((14 / 53, 28 / 77, 28 / 53, 56 / 77), (1, 2, 1, 3)),  # from border to border
        ((7 / 53, 21 / 77, 35 / 53, 63 / 77), (0, 1, 2, 4)),  # from middle to middle
        ((8 / 53, 22 / 77, 34 / 53, 62 / 77), (1, 2, 1, 3)),
        ((0.3, 0.4, 0.3005, 0.4005), (1, 2)),  # within a patch: its own middle's
        ((0.9, 0.95, 1.0, 1.0), (2, 4)),  # beyond the crop
    ],
)
def test_a_region_is_the_patches_whose_middles_are_in_it(region: Any, box: tuple[int, ...]) -> None:
    assert query_patch("shared", region, GRID, (53, 77)) == box
    assert query_patch(Pane("m", query=region).query, None, GRID, (53, 77)) == box
