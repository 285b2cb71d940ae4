"""Methods by name; and that one more needs its row and nothing else."""

import copy
import inspect
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.analysis.methods.counted import COUNTED
from vit_engine.analysis import methods
from vit_engine.analysis.comparison import Pane, evaluate_pane
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS, Method, Needs, find_method
from vit_engine.analysis.rankings import rank_heads
from vit_engine.analysis.run import Run
from vit_engine.analysis.similarity import head_similarity, jensen_shannon
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.image import PreparedImage
from vit_engine.trace import REDUCTIONS, AttentionTrace, attend
from vit_engine.trace.targets import ClassTarget
from vit_engine.weights import LoadedModel


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


@pytest.fixture
def run(trace: AttentionTrace, small: LoadedModel, prepared: PreparedImage) -> Run:
    return Run(trace, small, prepared)


ALL = (*METHODS, *TOKEN_METHODS)
NAMES = ", ".join(method.name for method in ALL)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Method:
    """A second method."""
    monkeypatch.setattr(methods, "METHODS", (*METHODS, COUNTED))
    return COUNTED


def test_methods_have_names_of_their_own_that_no_other_part_of_a_pane_has() -> None:
    names = [method.name for method in ALL]
    assert names[0] == "raw"
    assert len(set(names)) == len(names)
    assert not set(names) & {*REDUCTIONS, "shared", "cls"}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert all(method.title and method.description.endswith(".") for method in ALL)
    assert all(method.source and method.value and not method.value.endswith(".") for method in ALL)


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_a_method_has_a_card(method: Method) -> None:
    assert method.formula.count("{") == method.formula.count("}") > 0
    for text in (method.cost, method.misleads, method.empty):
        assert text.endswith(".")


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_a_method_takes_what_it_depends_on_and_nothing_else(method: Method) -> None:
    choices = {"layer", "query", "target", "fitted_to"}
    options = {option.name for option in method.options}
    for function in filter(None, (method.compute, method.shares, method.pca)):
        assert set(inspect.signature(function).parameters) == {"run", *(method.depends_on & choices), *options}
    if method.compute_layers is not None:
        several = {"run", "layers", *(method.depends_on & choices - {"layer"}), *options}
        assert set(inspect.signature(method.compute_layers).parameters) == several


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
@pytest.mark.parametrize(("layer", "query"), [(1, "cls"), (0, (4, 6))])
def test_maps_are_one_a_head_of_the_patches_and_of_the_sign_that_is_told(
    method: Method, run: Run, layer: int, query: Query
) -> None:
    maps = method.attribute(run, layer=layer, head=0, query=query).heads
    assert maps.dtype == np.float32
    assert maps.shape == (3 if "head" in method.depends_on or method.pca else 1, 5, 7)
    assert np.isfinite(maps).all()
    assert method.signed or maps.min() >= 0


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_shares_are_the_maps_normalised(method: Method, run: Run) -> None:
    options = {"steps": 1} if method.name == "integrated_gradients" else {}
    choices = {"layer": 0, "query": (0, 3), "options": options}
    maps = method.attribute(run, **choices).heads.reshape(-1, 35).astype(np.float64).clip(min=0)
    shares = method.distributions(run, **choices)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares, maps / maps.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("layer", "head", "query"), [(1, 2, "cls"), (0, "max", (4, 6)), (-1, "mean", (0, 3))])
def test_raw_attention_is_the_traces_own_map(trace: AttentionTrace, layer: int, head: int | str, query: Query) -> None:
    found = find_method("raw").attribute(trace, layer=layer, head=head, query=query)
    shown, expected = found.map, trace.attention_map(layer, head, query)
    assert found.heads.tolist() == trace.head_maps(layer, query).tolist()
    assert shown.values.tolist() == expected.values.tolist()
    assert (shown.grid, shown.label, shown.unit) == (expected.grid, expected.label, expected.unit)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rew", f"no method is called 'rew'; did you mean 'raw'? There are: {NAMES}."),
        ("chefer", f"no method is called 'chefer'. There are: {NAMES}."),
        ("", f"no method is called ''. There are: {NAMES}."),
    ],
)
def test_a_method_that_there_is_not_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        find_method(name)


def test_another_row_is_found_and_named(counted: Method) -> None:
    assert find_method("count_2") is counted
    assert find_method("raw") is METHODS[0]
    assert find_method("Count-2") is find_method("counted") is counted
    with pytest.raises(
        SpecError, match=r"did you mean 'count_2'\? There are: raw, column, .*, count_2, pca, similarity"
    ):
        find_method("cound_2")


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
    one = evaluate_pane(1, pane, trace, prepared.pixels, small.report, frame=(20, 28), point=(0.5, 0.99))
    assert (one.pane.method, one.pane.layer, one.query) == ("count_2", 1, (2, 6))
    assert (one.map.label, one.map.unit) == ("counted · layer 1 · head max · query patch row 2, col 6", "things")
    assert (one.map.values[1, 1], one.map.values[0, 0]) == (2, 100 + len("(2, 6)"))
    assert one.heads[:, 1, 1].tolist() == [0, 1, 2]


def test_panes_of_no_row_are_refused() -> None:
    with pytest.raises(SpecError, match="no method is called 'count_2'"):
        Pane.parse("m:3:mean:count_2")


def test_heads_are_reduced_once_for_all_methods(counted: Method, run: Run) -> None:
    found = {head: counted.attribute(run, head=head).map.values[2, 3] for head in ("mean", "max", "min", 0, 2)}
    assert found == {"mean": 1, "max": 2, "min": 0, 0: 0, 2: 2}
    with pytest.raises(SpecError, match=r"head must be in 0\.\.2 or one of mean, max, min for 'small'; got 3"):
        counted.attribute(run, head=3)
    with pytest.raises(SpecError, match=r"layer must be in 0\.\.1 for 'small'; got 2"):
        counted.attribute(run, layer=2)


def test_a_method_without_layer_and_head_gives_one_map_and_says_only_what_it_is_of(run: Run) -> None:
    def last(run: Run, *, target: ClassTarget) -> np.ndarray:
        return np.full((1, *run.trace.grid.shape), target.number, dtype=np.float32)

    method = Method("last", "Of the last", "One.", "nowhere", "-", last, signed=True, depends_on=frozenset({"target"}))
    found = method.attribute(run, layer=0, head=2, query=(1, 1), target="Dog")
    assert (found.heads.shape, found.map.values[0, 0]) == ((1, 5, 7), 3)
    assert (found.map.label, found.target) == ("of the last · target class 3, dog", ClassTarget(3, "dog"))
    assert method.attribute(run).target == ClassTarget(run.trace.predictions[0].number, run.trace.predictions[0].label)
    assert not method.per_head


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (Needs.MODEL, "the method 'count_2' needs a trace, its model and the prepared picture; got a trace alone."),
        (Needs.GRADIENTS, "the method 'count_2' needs a trace and the gradient of a target; got a trace alone."),
    ],
)
def test_a_method_that_lacks_what_it_needs_is_refused(
    needs: Needs, message: str, trace: AttentionTrace, small: LoadedModel, prepared: PreparedImage
) -> None:
    method = replace(COUNTED, needs=needs)
    for ask in (method.attribute, method.distributions):
        for run in (trace, Run(trace, small), Run(trace, prepared=prepared)):
            with pytest.raises(SpecError, match=re.escape(message)):
                ask(run, layer=0)
    assert method.attribute(Run(trace, small, prepared)).heads.shape == (3, 5, 7)


def test_gradients_are_not_taken_in_half_precision(
    trace: AttentionTrace, small: LoadedModel, prepared: PreparedImage
) -> None:
    half = replace(small, model=copy.deepcopy(small.model).bfloat16())
    with pytest.raises(SpecError, match=r"in float32 or wider.*; got torch\.bfloat16"):
        Run(trace, half, prepared).differentiated(ClassTarget(0, "ant"))


def test_gradients_are_made_once_a_target(run: Run) -> None:
    first = run.differentiated(ClassTarget(0, "ant"))
    assert run.differentiated(ClassTarget(0, "ant"), backward=False) is first
    assert run.differentiated(ClassTarget(1, "bee")).score != first.score
    kept = Run(run.trace, gradients=first)
    assert (kept.target(None), kept.differentiated(kept.target(0))) == (ClassTarget(0, "ant"), first)
    with pytest.raises(
        SpecError, match="needs the gradients of the target 'class 1, bee'; it has those of 'class 0, ant'"
    ):
        kept.differentiated(kept.target("bee"))


def test_a_run_of_another_model_or_picture_is_refused(
    trace: AttentionTrace, small: LoadedModel, prepared: PreparedImage
) -> None:
    with pytest.raises(SpecError, match="needs the trace's model, 'small'; got 'other'"):
        Run(trace, replace(small, spec=replace(small.spec, name="other")))
    trained = replace(small, report=replace(small.report, format="dino"))
    with pytest.raises(
        SpecError, match="needs the trace's model, 'small' with random weights; got it with trained ones"
    ):
        Run(trace, trained)
    with pytest.raises(SpecError, match="needs the trace's picture, sha256"):
        Run(trace, prepared=replace(prepared, sha256="0" * 64))


def test_a_run_says_what_it_takes(trace: AttentionTrace, small: LoadedModel, prepared: PreparedImage) -> None:
    with pytest.raises(SpecError, match=r"Run\(trace, loaded, prepared\).* trace must be .* got LoadedModel"):
        Run(small, prepared)
    with pytest.raises(SpecError, match="loaded must be of the type LoadedModel; got PreparedImage"):
        Run(trace, prepared, small)


@pytest.mark.usefixtures("counted")
def test_heads_compare_and_rank_by_any_method_that_has_a_map_of_each(run: Run, trace: AttentionTrace) -> None:
    shares = COUNTED.distributions(run, layer=1, query=(1, 1))
    expected = jensen_shannon(shares)
    found = head_similarity(trace, query=(1, 1), method="count_2", layers=1)
    np.testing.assert_array_equal(found.divergence, expected)
    assert not np.array_equal(found.divergence, head_similarity(trace, query=(1, 1), layers=1).divergence)
    (focused, *_) = rank_heads(trace, method="count_2", count=6)
    entropies = [-(row[row > 0] * np.log(row[row > 0])).sum() for row in COUNTED.distributions(run, layer=1)]
    best = min((entry for entry in focused.entries if entry.layer == 1), key=lambda entry: entry.value)
    assert best.head == int(np.argmin(entropies))


def test_heads_do_not_compare_by_a_method_without_a_map_of_each(
    trace: AttentionTrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "METHODS", (*METHODS, replace(COUNTED, depends_on=frozenset({"head", "query"}))))
    for ask in (head_similarity, rank_heads):
        with pytest.raises(SpecError, match="a method that depends on layer and head; 'count_2' does not"):
            ask(trace, method="count_2")


def test_shares_of_a_signed_map_are_of_its_positive_part_and_of_nothing_even(run: Run) -> None:
    def signs(run: Run) -> np.ndarray:
        maps = np.full((2, *run.trace.grid.shape), -5.0, dtype=np.float32)
        maps[0, 0, :2] = 3, 1
        return maps

    method = replace(COUNTED, compute=signs, signed=True, depends_on=frozenset({"head"}))
    shares = method.distributions(run, layer=0)
    assert shares[0, :3].tolist() == [0.75, 0.25, 0]
    assert shares[1].tolist() == [1 / 35] * 35


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("column", "column attention"),
        ("value_weighted", "value-weighted attention"),
        ("legrad", "LeGrad"),
        ("grad_cam", "Grad-CAM"),
        ("pca", "PCA of tokens"),
    ],
)
def test_names_of_people_and_acronyms_stay_as_they_are_in_a_sentence(name: str, phrase: str) -> None:
    assert find_method(name).phrase == phrase
