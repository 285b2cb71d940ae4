"""Insertion and deletion against a plain loop, one picture at a time, and curves and areas by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

import vit_engine as ve
from vit_engine.analysis.worth import perturbation
from vit_engine.analysis.worth.faithfulness import estimate_faithfulness, faithfulness, kept_patches, step_counts
from vit_engine.analysis.worth.perturbation import baseline_picture
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import Quantity
from vit_engine.trace.targets import NormTarget, VectorTarget

GRID = TokenGrid(3, 5, 7, 4)
VALUES = np.random.default_rng(3).normal(size=(5, 7)).astype(np.float32)  # signed, and all different
SHOWN = ve.AttentionMap(VALUES, GRID, "noise")


@pytest.fixture(scope="module")
def run(small: ve.LoadedModel, prepared: ve.PreparedImage) -> ve.Run:
    return ve.Run(ve.attend(small, prepared, statistics="none"), small, prepared)


def plain_score(run: ve.Run, picture: Tensor, target: int | str) -> float:
    """From the model's own forward pass; the reference of "similarity" is the first patch of the whole picture."""
    model, images = run.loaded.model, picture[None]
    if isinstance(target, int):
        return float(model(images).softmax(dim=-1)[0, target])
    own, whole = (model.get_intermediate_layers(each[None])[0][0] for each in (picture, run.prepared.tensor))
    return float(torch.cosine_similarity(own[0], whole[3 + 2 * 7 + 4], dim=0))


def plain_curves(run: ve.Run, order: list[int], counts: list[int], baseline: Tensor, target: int | str) -> np.ndarray:
    curves = np.zeros((2, len(counts)))
    for step, count in enumerate(counts):
        inserted, deleted = baseline.clone(), run.prepared.tensor.clone()
        for patch in order[:count]:
            top, left = 4 * (patch // 7), 4 * (patch % 7)
            here = slice(None), slice(top, top + 4), slice(left, left + 4)
            inserted[here], deleted[here] = run.prepared.tensor[here], baseline[here]
        curves[:, step] = [plain_score(run, picture, target) for picture in (inserted, deleted)]
    return curves


@pytest.mark.parametrize("target", [2, "patch:2,4"])
@pytest.mark.parametrize("baseline", ["blur", "mean"])
def test_curves_are_those_of_a_plain_loop(
    run: ve.Run, baseline: str, target: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perturbation, "CPU_BATCH_TOKENS", 3 * GRID.tokens)  # uneven batches
    found = faithfulness(run, SHOWN, target, baseline=baseline, steps=4, orders=2, seed=5)
    pixels = run.prepared.tensor.numpy()
    blurred = np.stack([gaussian_filter(channel, 20 / 16, mode="nearest") for channel in pixels])
    flat = np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape)
    replaced = torch.from_numpy(blurred if baseline == "blur" else flat.copy())
    counts = [0, 9, 18, 26, 35]  # quarters of 35, to whole patches
    np.testing.assert_allclose(found.fractions, np.array(counts) / 35)
    order = sorted(range(35), key=lambda patch: -VALUES.flat[patch])
    expected = plain_curves(run, order, counts, replaced, target)
    np.testing.assert_allclose([found.insertion, found.deletion], expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(expected[0]) > 0.01
    for number in (1, 2):
        order = np.random.default_rng([5, number]).permutation(35).tolist()
        curves = found.random_insertion_curves[number - 1], found.random_deletion_curves[number - 1]
        np.testing.assert_allclose(curves, plain_curves(run, order, counts, replaced, target), rtol=1e-4, atol=1e-6)


def test_patches_come_and_go_by_their_place_in_the_order() -> None:
    kept = kept_patches(np.array([[1, 0, 2]]), np.array([0, 2, 3]))
    assert kept[0, 0].tolist() == [[False] * 3, [True, True, False], [True] * 3]
    assert kept[1, 0].tolist() == [[True] * 3, [False, False, True], [False] * 3]


def test_steps_are_of_equal_shares_and_at_most_one_a_patch() -> None:
    grid = TokenGrid(1, 2, 3, 4)
    assert step_counts(grid, 2).tolist() == [0, 3, 6]
    assert step_counts(grid, 4).tolist() == [0, 2, 3, 4, 6]
    assert step_counts(grid, 50).tolist() == [0, 1, 2, 3, 4, 5, 6]


def made(**changes: object) -> ve.Faithfulness:
    arrays = {
        "fractions": np.array([0, 0.5, 1]),
        "insertion": np.array([0, 0.8, 1]),
        "deletion": np.array([1, 0.1, 0]),
        "random_insertion_curves": np.array([[0, 0.4, 1], [0, 0.6, 1]]),
        "random_deletion_curves": np.array([[1, 0.4, 0], [1, 0.6, 0]]),
    }
    target = ve.find_target("norm", ve.list_models()[0])
    return replace(ve.Faithfulness(**arrays, target=target, baseline="blur", label="noise"), **changes)


def test_areas_gains_and_table_by_hand() -> None:
    found = made()
    assert found.insertion_area == pytest.approx(0.65)  # 0.5 · (0 + 0.8) / 2 + 0.5 · (0.8 + 1) / 2
    assert found.deletion_area == pytest.approx(0.3)
    np.testing.assert_allclose(found.random_insertion, [0.45, 0.55])
    np.testing.assert_allclose(found.random_deletion, [0.45, 0.55])
    assert (found.insertion_gain, found.deletion_gain) == (pytest.approx(0.15), pytest.approx(0.2))
    frame = found.to_frame()
    assert frame.loc[1].to_dict() == pytest.approx(
        {
            "share_of_patches": 0.5,
            "insertion": 0.8,
            "deletion": 0.1,
            "random_insertion_mean": 0.5,
            "random_insertion_std": 0.1,
            "random_deletion_mean": 0.5,
            "random_deletion_std": 0.1,
        }
    )
    with pytest.raises(ValueError, match="read-only"):
        found.insertion[0] = 1


def test_without_random_orders_there_is_nothing_to_gain_over() -> None:
    found = made(random_insertion_curves=np.empty((0, 3)), random_deletion_curves=np.empty((0, 3)))
    assert np.isnan([found.insertion_gain, found.deletion_gain]).all()
    assert list(found.to_frame()) == ["share_of_patches", "insertion", "deletion"]


def test_an_even_map_is_a_random_order_and_the_same_seed_gives_the_same(run: ve.Run) -> None:
    even = ve.AttentionMap(np.full((5, 7), 0.25, np.float32), GRID, "even")
    first, again, other = (faithfulness(run, even, steps=3, orders=1, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.insertion, again.insertion)
    assert not np.array_equal(first.insertion, other.insertion)
    order = np.argsort(np.random.default_rng([0, 0]).permutation(35))
    rows = torch.full((5, 7), 0.0)
    rows.view(-1)[order.tolist()] = torch.arange(35.0, 0, -1)
    same_order = ve.AttentionMap(rows.numpy(), GRID, "its order")
    np.testing.assert_array_equal(faithfulness(run, same_order, steps=3, orders=1).insertion, first.insertion)


def test_the_score_is_the_class_s_probability_and_otherwise_the_target_s_own(run: ve.Run) -> None:
    likeliest = run.trace.predictions[0]
    found = faithfulness(run, SHOWN, steps=1, orders=0)
    assert found.deletion[0] == found.insertion[1] == pytest.approx(likeliest.probability, rel=1e-5)
    assert found.score_label == f"probability of class {likeliest.number}, {likeliest.label}"
    own = run.loaded.model.get_intermediate_layers(run.prepared.tensor[None])[0][0, 0].numpy()
    similar = faithfulness(run, SHOWN, VectorTarget(own, "similarity to itself", "picture:itself"), steps=1, orders=0)
    assert similar.deletion[0] == pytest.approx(1)
    assert similar.score_label == "similarity to itself"


def test_the_target_is_the_maps_own_where_none_is_named(run: ve.Run) -> None:
    likeliest = run.target(None)
    explained = ve.find_target(4 if likeliest == ve.find_target(3, run.trace.spec) else 3, run.trace.spec)
    assert "array" not in repr(replace(SHOWN, target=explained))
    assert faithfulness(run, replace(SHOWN, target=explained), steps=2, orders=0).target == explained
    assert faithfulness(run, SHOWN, steps=2, orders=0).target == likeliest
    assert ve.find_method("legrad").attribute(run, target=explained).map.target == explained


def test_progress_counts_pictures_and_may_stop(run: ve.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "CPU_BATCH_TOKENS", 4 * GRID.tokens)
    calls: list[tuple[float, str]] = []
    faithfulness(run, SHOWN, steps=3, orders=0, progress=lambda *call: calls.append(call))
    assert calls == [(4 / 6, "picture 4 of 6"), (1, "picture 6 of 6")]  # both ends are shared by the two curves
    passes = estimate_faithfulness(run.loaded, GRID, steps=3, orders=0).work.layers["plain"] / run.loaded.spec.depth
    assert passes == 6 + 1  # and one to bind the target


def test_memory_is_asked_for_and_estimated_batch_by_batch(run: ve.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = (estimate_faithfulness(run.loaded, GRID, steps=steps, orders=0).peak_bytes for steps in (1, 16))
    assert many == 33 / 3 * one
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", "1000")
    with pytest.raises(ve.ResourceError, match=r"memory budget of 1\.00 kB"):
        faithfulness(run, SHOWN)


@pytest.mark.parametrize(
    ("shown", "options", "message"),
    [
        (VALUES, {}, "must be an AttentionMap, as attribute.. gives it; got ndarray"),
        (replace(SHOWN, grid=TokenGrid(1, 5, 7, 4)), {}, "must be on the run's grid"),
        (replace(SHOWN, values=np.full((5, 7), np.nan, np.float32)), {}, "must be finite"),
        (replace(SHOWN, quantity=Quantity.FITTED), {}, "principal component"),
        (SHOWN, {"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        (SHOWN, {"steps": 2.5}, r"steps must be a whole number of at least 1; got 2\.5"),
        (SHOWN, {"orders": -1}, "orders must be a whole number of at least 0; got -1"),
        (SHOWN, {"seed": -1}, "seed must be a whole number of at least 0; got -1"),
        (SHOWN, {"baseline": "grey"}, "baseline must be one of 'blur', 'mean'; got 'grey'"),
        (SHOWN, {"target": 5}, r"must be in 0\.\.4; got 5"),
    ],
)
def test_what_cannot_be_is_refused(run: ve.Run, shown: ve.AttentionMap, options: dict, message: str) -> None:
    with pytest.raises(ve.SpecError, match=message):
        faithfulness(run, shown, **options)


def test_a_trace_alone_is_not_enough(run: ve.Run) -> None:
    with pytest.raises(ve.SpecError, match=r"Pass Run\(trace, loaded, prepared\)"):
        faithfulness(run.trace, SHOWN)


class Overflowing(NormTarget):
    def score(self, model: ve.VisionTransformer, tokens: Tensor) -> Tensor:
        return super().score(model, tokens) * float("inf")


def test_scores_that_are_no_numbers_are_refused(run: ve.Run) -> None:
    with pytest.raises(ve.NumericalError, match="norm of the image embedding' of 'small' is no number"):
        faithfulness(run, SHOWN, Overflowing(), steps=1, orders=0)


def test_the_mean_colour_is_each_channel_s() -> None:
    tensor = torch.tensor([[[0.0, 2.0]], [[4.0, 8.0]], [[1.0, 1.0]]])
    assert baseline_picture(tensor, "mean")[:, 0, 1].tolist() == [1, 6, 1]
