"""What methods cost: ours and the explicit implementations give the same maps; which runs there are, and the report."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

import vit_engine as ve
from benchmarks import measure, plan, report, runner
from benchmarks.bars import method_bars
from benchmarks.contenders import Pictures
from benchmarks.methods import METHOD_CONTENDERS, build_rollout_from_trace, with_uneven_gains
from benchmarks.plan import METHOD_CASES, OURS_AND_EXPLICIT, S8, Job
from benchmarks.results import Results
from tests.benchmarks.support import MACHINE, MIB, results_of

LARGE = METHOD_CASES[-1]


@pytest.mark.parametrize(("ours", "explicit"), OURS_AND_EXPLICIT.items())
def test_both_give_the_same_maps_for_each_picture(ours: str, explicit: str, loaded: ve.LoadedModel) -> None:
    pictures = Pictures.of_noise(loaded.spec, size=(32, 80), count=2)
    loaded = with_uneven_gains(replace(loaded, model=deepcopy(loaded.model)))
    maps = METHOD_CONTENDERS[ours](loaded)(pictures)
    expected = METHOD_CONTENDERS[explicit](loaded)(pictures)
    assert expected.shape == (2, 2, 5)
    assert (expected.abs().amax(dim=(1, 2)) > 0).all()
    assert not torch.allclose(expected[0], expected[1], rtol=1e-2)
    for single, reference in zip(maps, expected.numpy(), strict=True):
        np.testing.assert_allclose(single.values, reference, rtol=1e-3, atol=1e-5 * np.abs(reference).max())


def test_a_rollout_from_a_trace_runs_no_model(loaded: ve.LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures.of_noise(loaded.spec, size=(32, 80))
    read = build_rollout_from_trace(loaded, pictures)
    expected = METHOD_CONTENDERS["rollout"](loaded)(pictures)
    monkeypatch.setattr(type(loaded.model), "embed", lambda *_: pytest.fail("the model ran"))
    np.testing.assert_array_equal(read()[0].values, expected[0].values)


@pytest.mark.skipif(not measure.Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")
@pytest.mark.parametrize("contender", ["relevance", "relevance_explicit", "rollout_from_trace"])
def test_methods_can_be_measured(contender: str) -> None:
    cost = measure.measure(contender, "random_vit_tiny_p16", 64)
    assert cost["cpu_seconds"] > 0


def test_the_plan_has_every_contender_and_what_the_bars_need() -> None:
    assert {job.contender for job in plan.methods()} == {"limit", *METHOD_CONTENDERS, measure.FROM_TRACE}
    measured = {job.contender for job in plan.quick_methods()}
    assert measured == {"limit", *OURS_AND_EXPLICIT, measure.FROM_TRACE}
    results = Results(MACHINE)
    for job in plan.quick_methods():
        results.add(job, {"cpu_seconds": 1.0, "wall_seconds": 1.0, "bytes": 1.0})
    bounds = {bar.what: bar.bound for bar in method_bars(results)}
    assert bounds == {
        "rollout_from_trace / limit, CPU time": 1.0,
        "relevance / limit, CPU time": 4.0,
        "legrad / limit, CPU time": 2.2,
        **{f"{name}, extra peak memory": 500e6 / MIB for name in OURS_AND_EXPLICIT},
    }


def test_matrices_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A and ∇A of ViT-S/8 at 480 px are 7.5 GB, of 12 layers of 6 heads of 3601 tokens."""
    assert plan.matrix_bytes("relevance_explicit", S8, 480) == 2 * 12 * 6 * 3601**2 * 4
    assert plan.matrix_bytes("rollout_explicit", S8, 480) == 12 * 6 * 3601**2 * 4
    assert plan.matrix_bytes("relevance", S8, 480) == 0
    monkeypatch.setattr(runner, "run_apart", lambda _: {"cpu_seconds": 1.0, "wall_seconds": 1.0, "bytes": 1.0})
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", "5 GB")
    results = Results(dict(MACHINE))
    runner.run_all(list(plan.turns(replace(LARGE, runs=1))), results, path=None)
    assert {*LARGE.contenders} - {job.contender for job in results.done()} == {"relevance_explicit"}


def measured(*names: str) -> Results:
    return results_of(*((Job(name, S8, 480), [seconds], [9], [50]) for seconds, name in enumerate(names, start=2)))


def test_the_report_says_by_its_formula_what_did_not_fit() -> None:
    text = report.full_report(Results(MACHINE), measured("limit", "rollout", "rollout_explicit", "relevance"))
    assert "| relevance | 5.00 | 2.50 | 50 | 1.00 |" in text
    assert "| relevance, matrices and autograd through them | – | – | – | – |" in text
    formula = "A and ∇A alone would take 2 × 12 layers × 6 heads × 3,601² × 4 bytes, 7,123 MiB."
    assert f"Not measured: relevance, matrices and autograd through them. {formula}" in text
    assert "Not measured: rollout" not in text.split("### ViT-S/8")[1]
    assert "| relevance / limit, CPU time | ViT-S/8 at 480×480 | 2.50× | ≤ 4.00× | met, 37.5% to spare |" in text


def test_a_report_without_methods_says_so(results: Results) -> None:
    lines = report.full_report(results).splitlines()
    assert lines[lines.index("## Methods") :][4:8].count("Not measured.") <= 1
    assert "Not measured." in lines[lines.index("## Methods") :]
    assert "explain()" not in report.readme_block(results)


def test_the_readme_has_ours_beside_explicit_ones(results: Results) -> None:
    block = report.readme_block(results, measured("limit", "rollout", "rollout_explicit", "rollout_from_trace"))
    assert "ViT-S/8 at 480 px, from the model" in block
    assert "| rollout | 1.50×, 50 MiB | 2.00×, 50 MiB |" in block
    assert "| relevance | – | over 7,123 MiB |" in block
    assert "| rollout, from a trace | 2.50×, 50 MiB | – |" in block
