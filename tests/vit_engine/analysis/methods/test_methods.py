"""Methods by name; and that one more needs its row and nothing else."""

import re

import numpy as np
import pytest

from vit_engine.analysis import methods
from vit_engine.analysis.comparison import Pane, show
from vit_engine.analysis.methods import METHODS, Method, find_method
from vit_engine.errors import SpecError
from vit_engine.image import PreparedImage
from vit_engine.spec import Query
from vit_engine.trace import REDUCTIONS, AttentionTrace, attend
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.weights import LoadedModel


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Method:
    """A second method: a map of its arguments."""

    def count(trace: AttentionTrace, layer: int, head: int | str, query: Query) -> AttentionMap:
        values = np.full(trace.grid.shape, 100 * layer, dtype=np.float32)
        values[0, 0] = len(f"{head} {query}")
        return AttentionMap(values, trace.grid, "counted", "things")

    method = Method("count_2", "Counted", "Counts.", count, per_head=False)
    monkeypatch.setattr(methods, "METHODS", (*METHODS, method))
    return method


def test_methods_have_names_of_their_own_that_no_other_part_of_a_pane_has() -> None:
    names = [method.name for method in METHODS]
    assert names[0] == "raw"
    assert len(set(names)) == len(names)
    assert not set(names) & {*REDUCTIONS, "shared", "cls"}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert all(method.title and method.description.endswith(".") for method in METHODS)


@pytest.mark.parametrize(("layer", "head", "query"), [(1, 2, "cls"), (0, "max", (4, 6)), (-1, "mean", (0, 3))])
def test_raw_attention_is_the_traces_own_map(trace: AttentionTrace, layer: int, head: int | str, query: Query) -> None:
    shown, expected = find_method("raw").compute(trace, layer, head, query), trace.attention_map(layer, head, query)
    assert shown.values.tolist() == expected.values.tolist()
    assert (shown.grid, shown.label, shown.unit) == (expected.grid, expected.label, expected.unit)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rew", "no method is called 'rew'; did you mean 'raw'? There are: raw."),
        ("chefer", "no method is called 'chefer'. There are: raw."),
        ("", "no method is called ''. There are: raw."),
    ],
)
def test_a_method_that_there_is_not_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        find_method(name)


def test_another_row_is_found_and_named(counted: Method) -> None:
    assert find_method("count_2") is counted
    assert find_method("raw") is METHODS[0]
    with pytest.raises(SpecError, match=re.escape("did you mean 'count_2'? There are: raw, count_2.")):
        find_method("count2")


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("text", "pane"),
    [
        ("m:3:mean:count_2", Pane("m", 3)),
        ("m:3:1:count_2:cls", Pane("m", 3, 1, query="cls")),
        ("m:3:1:count_2:0.5000,0.2500", Pane("m", 3, 1, query=(0.5, 0.25))),
    ],
)
def test_panes_of_another_row_are_written_and_read(text: str, pane: Pane) -> None:
    made = Pane(pane.model, pane.layer, pane.head, "count_2", pane.query)
    assert str(made) == text
    assert Pane.parse(text) == made


@pytest.mark.usefixtures("counted")
def test_another_row_may_follow_a_layer_whose_head_is_left_out() -> None:
    assert Pane.parse("m:3:count_2:cls") == Pane("m", 3, method="count_2", query="cls")


@pytest.mark.usefixtures("counted")
def test_panes_of_another_row_show_what_it_computes(
    trace: AttentionTrace, prepared: PreparedImage, small: LoadedModel
) -> None:
    pane = Pane("small", -1, "max", "count_2")
    one = show(1, pane, trace, prepared.pixels, small.report, frame=(20, 28), point=(0.5, 0.99))
    assert (one.pane.method, one.pane.layer, one.query) == ("count_2", 1, (2, 6))
    assert (one.map.label, one.map.unit, one.map.values[1, 1]) == ("counted", "things", 100)
    assert one.map.values[0, 0] == len("max (2, 6)")


def test_panes_of_no_row_are_refused() -> None:
    with pytest.raises(SpecError, match="no method is called 'count_2'"):
        Pane.parse("m:3:mean:count_2")
