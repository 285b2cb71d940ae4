"""Maps on randomised weights: which weights are fresh, and rank correlations against SciPy's."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import vit_engine as ve


@pytest.fixture(scope="module")
def run(small: ve.LoadedModel, prepared: ve.PreparedImage) -> ve.Run:
    return ve.Run(ve.attend(small, prepared, statistics="none"), small, prepared)


def same(first: ve.LoadedModel, second: ve.LoadedModel) -> dict[str, bool]:
    other = second.model.state_dict()
    return {name: torch.equal(values, other[name]) for name, values in first.model.state_dict().items()}


def test_all_weights_are_fresh_of_the_seed_and_the_model_stays_as_it_is(small: ve.LoadedModel) -> None:
    before = {name: values.clone() for name, values in small.model.state_dict().items()}
    fresh = ve.randomised(small, 1)
    assert not any(same(fresh, small).values())
    untrained = ve.load_model(small.spec, weights="random", device="cpu", seed=1)
    assert {name for name, equal in same(fresh, untrained).items() if not equal} == {"norm.weight", "norm.bias"}
    assert not all(same(fresh, ve.randomised(small, 2)).values())
    assert (fresh.spec, fresh.report.random) == (small.spec, True)
    assert all(torch.equal(values, before[name]) for name, values in small.model.state_dict().items())


def test_the_final_norm_is_shuffled_so_that_not_every_embedding_is_as_long(run: ve.Run) -> None:
    fresh = ve.randomised(run.loaded, 1).model.norm
    own = run.loaded.model.norm
    order = [own.weight.tolist().index(gain) for gain in fresh.weight.tolist()]
    assert sorted(order) == list(range(12)) != order
    assert own.bias[order].tolist() == fresh.bias.tolist()
    assert np.ptp(ve.randomised_map(run, "input_gradient", target="norm").values) > 0


def test_the_last_layers_and_what_follows_them_are_fresh(small: ve.LoadedModel) -> None:
    fresh = ve.randomised(small, 1, top=1)
    equal = same(fresh, small)
    kept = {name for name in equal if equal[name]}
    changed = {".".join(name.split(".")[: 1 + name.startswith("blocks")]) for name in equal if not equal[name]}
    assert changed == {"blocks.1", "norm", "head"}
    assert {name.rsplit(".", 1)[0] for name in kept} >= {"cls_token", "pos_embed", "blocks.0.attn.qkv"}
    assert str(fresh.report) == "random weights from random (seed 1) in the last 1 of 2 layers"
    for top in (0, 3, 1.5, "2", True):
        with pytest.raises(ve.SpecError, match=rf"top must be in 1\.\.2, .* got {top!r}"):
            ve.randomised(small, top=top)


@pytest.mark.parametrize("method", ["raw", "input_gradient", "integrated_gradients", "similarity"])
def test_correlations_are_those_of_maps_of_both_models(run: ve.Run, method: str) -> None:
    choices = {"layer": 0, "head": 2, "query": (1, 3), "target": 4}
    choices["options"] = {"steps": 2} if method == "integrated_gradients" else {}
    found = ve.sanity(run, method, seeds=2, **choices)
    own = ve.find_method(method).attribute(run, **choices).map.values.ravel()
    for seed in range(2):
        fresh = ve.randomised(run.loaded, seed)
        other = ve.Run(ve.attend(fresh, run.prepared), fresh, run.prepared)
        values = ve.find_method(method).attribute(other, **choices).map.values.ravel()
        assert found.correlations[seed] == pytest.approx(spearmanr(own, values).statistic, abs=1e-4)
        absolute = spearmanr(np.abs(own), np.abs(values)).statistic
        assert found.absolute_correlations[seed] == pytest.approx(absolute, abs=1e-4)
    assert (found.method, found.top) == (method, None)


def test_the_target_is_what_the_model_itself_finds_likeliest(run: ve.Run) -> None:
    likeliest = run.trace.predictions[0].number
    fresh = ve.attend(ve.randomised(run.loaded, 0), run.prepared)
    assert fresh.predictions[0].number != likeliest
    asked, named = (ve.randomised_map(run, "input_gradient", target=target) for target in (None, likeliest))
    np.testing.assert_array_equal(asked.values, named.values)
    assert asked.label.endswith("random weights, seed 0")


def test_the_norm_is_a_target_on_randomised_weights_too(run: ve.Run) -> None:
    shown = ve.randomised_map(run, "input_gradient", target="norm")
    assert np.abs(shown.values).max() > 1e-6
    assert not np.allclose(shown.values, ve.find_method("input_gradient").attribute(run, target="norm").map.values)


def test_what_lies_below_the_fresh_layers_does_not_change(run: ve.Run) -> None:
    lower, upper = (ve.sanity(run, "raw", layer=layer, top=1, seeds=1) for layer in (0, 1))
    assert lower.absolute_mean == pytest.approx(1)
    assert lower.hardly_changes
    assert upper.absolute_mean < 0.5
    assert not upper.hardly_changes


def test_mean_and_spread_leave_out_maps_that_are_even() -> None:
    found = ve.SanityCheck("raw", "layer 0", np.array([0.1, np.nan, 0.3]), np.array([np.nan] * 3), None)
    assert (found.mean, found.spread) == (pytest.approx(0.2), pytest.approx(0.1))
    assert np.isnan([found.absolute_mean, found.absolute_spread]).all()
    assert repr(found) == "SanityCheck('layer 0', rank correlation 0.20 ± 0.10, 3 × all weights)"
    with pytest.raises(ValueError, match="read-only"):
        found.correlations[0] = 1


def test_progress_and_what_cannot_be(run: ve.Run) -> None:
    calls: list[float] = []
    ve.sanity(run, "raw", seeds=3, progress=lambda fraction, message: calls.append(fraction))
    assert [round(after - before, 6) for before, after in pairwise([0, *calls])] == [round(1 / 3, 6)] * 3
    with pytest.raises(ve.SpecError, match="seeds must be a whole number of at least 1; got 0"):
        ve.sanity(run, "raw", seeds=0)
    for seed in ("a", 1.5, True, -1, 2**63):
        with pytest.raises(ve.SpecError, match=rf"seed must be a whole number in 0\.\.2\^63 - 1; got {seed!r}"):
            ve.randomised_map(run, "raw", seed=seed)
    with pytest.raises(ve.SpecError, match="got a trace alone"):
        ve.sanity(run.trace, "raw")
