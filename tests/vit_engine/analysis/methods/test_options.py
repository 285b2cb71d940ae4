"""Options of methods: named, checked and refused, whoever asks."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.methods.counted import COUNTED
from vit_engine.analysis.methods import METHODS, Method, Option, find_method
from vit_engine.analysis.run import Run
from vit_engine.errors import SpecError
from vit_engine.image import PreparedImage
from vit_engine.trace import attend
from vit_engine.weights import LoadedModel


@pytest.fixture
def run(small: LoadedModel, prepared: PreparedImage) -> Run:
    return Run(attend(small, prepared), small, prepared)


class Asked:
    """A method that takes options."""

    def __call__(self, run: Run, *, fuse: str, start: int, share: float) -> np.ndarray:
        self.asked = fuse, start, share
        return np.zeros((1, *run.trace.grid.shape), np.float32)


def test_options_are_checked_and_named_and_a_map_of_zeros_says_why(run: Run) -> None:
    options = (
        Option("fuse", "Fuse", "mean", "How.", choices=("mean", "max")),
        Option("start", "Start", 0, "Where.", layer=True),
        Option("share", "Share", 0.5, "How much."),
    )
    asked = Asked()
    method = replace(COUNTED, compute=asked, depends_on=frozenset(), options=options, empty="Nothing was asked.")
    shown = method.attribute(run)
    assert (asked.asked, shown.map.label, shown.note) == (("mean", 0, 0.5), "counted", "Nothing was asked.")
    shown = method.attribute(run, options={"start": 1, "fuse": "max", "share": 0.5})
    assert (asked.asked, shown.map.label) == (("max", 1, 0.5), "counted · start 1 · fuse max")
    for name, value, message in (
        ("start", 2, "start must be a whole number in 0..1 for 'small'; got 2."),
        ("start", 0.5, "start must be a whole number in 0..1 for 'small'; got 0.5."),
        ("share", 1.5, "share must be a number in 0..1; got 1.5."),
        ("share", float("nan"), "share must be a number in 0..1; got nan."),
        ("fuse", ["max"], "fuse must be one of 'mean', 'max'; got ['max']."),
        ("start", "1", "start must be a whole number in 0..1 for 'small'; got '1'."),
        ("start", True, "start must be a whole number in 0..1 for 'small'; got True."),
        ("share", None, "share must be a number in 0..1; got None."),
        ("share", np.ones(2), "share must be a number in 0..1; got array([1., 1.])."),
        ("strat", 1, "the method 'count_2' has no option 'strat'; did you mean 'start'? It has fuse, start, share."),
        ("fuse", "sum", "fuse must be one of 'mean', 'max'; got 'sum'."),
        (
            "fuse",
            np.array(["max", "max"]),
            "fuse must be one of 'mean', 'max'; got array(['max', 'max'], dtype='<U3').",
        ),
        ("depth", 1, "the method 'count_2' has no option 'depth'; it has fuse, start, share."),
    ):
        with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
            method.attribute(run, options={name: value})


@pytest.mark.parametrize("options", [None, ["start"], "start=1"])
def test_options_that_are_not_values_by_name_are_refused(options: Any, run: Run) -> None:
    with pytest.raises(SpecError, match=r"options must be values by name, as \{'start': 2\}; got "):
        find_method("rollout").attribute(run, options=options)


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch, small: LoadedModel) -> None:
    monkeypatch.setattr(type(small.model), "embed", None)  # the first that would be run


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_explain_refuses_a_misspelt_option_before_the_run_and_names_those_there_are(
    method: Method, small: LoadedModel, prepared: PreparedImage
) -> None:
    known = ", ".join(option.name for option in method.options) or "none"
    with pytest.raises(SpecError, match=f"'{method.name}' has no option 'strat'; .*[iI]t has {known}") as error:
        ve.explain(small, prepared, method=method.name, strat=2)
    assert ("did you mean 'start'?" in str(error.value)) == ("start" in known)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "rollout", "start": 2}, "start must be a whole number in 0..1 for 'small'; got 2"),
        ({"method": "rollout", "start": 1, "layer": 0}, "start must be in 0..0, the deepest layer that is asked for"),
        ({"method": "rollout", "residual": 1.5}, "residual must be a number in 0..1; got 1.5"),
        ({"method": "integrated_gradients", "steps": 0}, "steps must be a whole number in 1..512; got 0"),
        ({"method": "integrated_gradients", "target": 5}, "must be in 0..4; got 5"),
        ({"method": "raw", "layer": "last"}, "layer must be in 0..1 for 'small'; got 'last'"),
        ({"method": "raw", "layer": 2}, "layer must be in 0..1 for 'small'; got 2"),
        ({"method": "raw", "layer": True}, "layer must be in 0..1 for 'small'; got True"),
        ({"method": "raw", "head": 3}, "head must be in 0..2"),
        ({"method": "raw", "head": True}, "head must be in 0..2 .* got True"),
        ({"method": "raw", "query": (9, 9)}, "row in 0..4"),
        ({"method": "raw", "query": None}, "query must be 'cls', a patch .* got None"),
        ({"method": "relevance", "taget": 1}, "has no option 'taget'; did you mean 'target'"),
        ({"method": 3}, "no method is called 3"),
    ],
)
def test_explain_refuses_what_cannot_be_before_the_run(
    asked: dict[str, Any], message: str, small: LoadedModel, prepared: PreparedImage
) -> None:
    with pytest.raises(SpecError, match=message):
        ve.explain(small, prepared, **asked)


def test_explain_and_attribute_take_the_same_options(small: LoadedModel, prepared: PreparedImage, run: Run) -> None:
    shown = ve.explain(small, prepared, method="rollout", start=1, residual=0.25)
    expected = find_method("rollout").attribute(run, options={"start": 1, "residual": 0.25}).map
    np.testing.assert_allclose(shown.values, expected.values, rtol=1e-5)
    assert shown.label == expected.label


@pytest.mark.parametrize("method", ["raw", "legrad", "input_gradient"])
def test_progress_of_explain_comes_to_its_end(method: str, small: LoadedModel, prepared: PreparedImage) -> None:
    fractions: list[float] = []
    ve.explain(small, prepared, method=method, progress=lambda fraction, _: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
