"""A row is all that a link parameter needs: to the link, back, checked, and told."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from dashboard.links.codec import (
    Available,
    Instead,
    Reading,
    between,
    finite,
    from_link,
    layer_number,
    names,
    nearest,
    option,
    parameter,
    parameters,
    to_link,
)
from vit_engine import ModelSpec

SPEC = ModelSpec("tall", "Tall", "test", patch_size=8, dim=24, depth=7, heads=3)
AVAILABLE = Available(lambda name: (SPEC, "") if name == "tall" else (None, f"no {name}"), lambda _: None, "tall")


def _friends(texts: list[str], link: Reading) -> Any:
    there = tuple(name for name in texts if link.find_model(name))
    link.tell_problems()
    return there or Instead(words="none")


@dataclass(frozen=True)
class State:
    """A page's state of every kind of parameter."""

    LONGEST: ClassVar = 5

    kind: str = parameter("one", key="kind_key", read=option(("one", "two")))
    count: float = parameter(3, key="count_key", read=nearest((1, 2.5, 3)), name="how_many")
    share: int = parameter(50, key="share_key", read=between(0, 100))
    layer: int | None = parameter(None, key="layer_key", read=layer_number(last=False))
    friends: tuple[str, ...] = parameter((), read=_friends, write=list, several=True, always=True)


def read(**link: list[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    return from_link(State, link, AVAILABLE)


def test_a_row_gives_name_key_and_default() -> None:
    assert names(State) == ("kind", "how_many", "share", "layer", "friends")
    assert {name: row.key for name, row in parameters(State).items() if row.key} == {
        name: f"{name}_key" for name in ("kind", "count", "share", "layer")
    }
    assert State() == State("one", 3, 50, None, ())


def test_what_differs_from_the_default_goes_into_the_link_and_what_always_does() -> None:
    assert to_link(State()) == {"friends": []}
    state = State("two", 2.5, 0, 0, ("tall", "tall"))
    link = to_link(state)
    assert link == {"kind": "two", "how_many": "2.5", "share": "0", "layer": "0", "friends": ["tall", "tall"]}
    lists = {name: value if isinstance(value, list) else [value] for name, value in link.items()}
    assert read(**lists) == ({"kind": "two", "count": 2.5, "share": 0, "layer": 0, "friends": ("tall", "tall")}, ())


def test_of_several_values_the_last_is_read_where_there_is_one_and_parameters_of_others_are_left_alone() -> None:
    assert read(kind=["x", "two"], share=["x", "7"], count=["1"], utm_source=["x"]) == ({"kind": "two", "share": 7}, ())


@pytest.mark.parametrize(
    ("link", "values", "notice"),
    [
        ({"kind": ["many more"]}, {"kind": "one"}, "kind 'many …', which is not available here; using one."),
        ({"how_many": ["2"]}, {"count": 2.5}, "how_many '2', which is not available here; using 2.5."),
        ({"how_many": ["x"]}, {}, "how_many 'x', which is not available here; using 3."),
        ({"share": ["-1"]}, {"share": 0}, "share '-1', which is not available here; using 0."),
        ({"share": ["nan"]}, {}, "share 'nan', which is not available here; using 50."),
        ({"layer": ["-8"]}, {"layer": 0}, "layer '-8', which is not available here; using 0."),
        ({"layer": ["7"]}, {}, "layer '7', which is not available here; using 6."),
        ({"layer": ["x"]}, {}, "layer 'x', which is not available here; using the last one."),
    ],
)
def test_what_there_is_not_is_told_by_the_links_own_name(
    link: dict[str, list[str]], values: dict[str, Any], notice: str
) -> None:
    assert read(**link) == (values, (f"The link asks for {notice}",))


def test_why_a_model_cannot_be_had_is_told_once() -> None:
    values, notices = read(friends=["tall", "gone", "gone"])
    assert values == {"friends": ("tall",)}
    assert notices == ("no gone",)


@pytest.mark.parametrize(("text", "number"), [("1e3", 1000.0), (" 2 ", 2.0), ("inf", None), ("nan", None), ("", None)])
def test_numbers_are_finite(text: str, number: float | None) -> None:
    assert finite(text) == number
