"""The evaluation's numbers by hand, against attend(), and as the commands print them."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import vit_engine as ve
from vit_engine.demo import evaluation
from vit_engine.demo.__main__ import main
from vit_engine.demo.evaluation import (
    cls_attention,
    exact_sets,
    gains,
    hits,
    load_candidates,
    rounding_effect,
    score_models,
    shares,
    variation,
)
from vit_engine.demo.report import evaluate, markdown
from vit_engine.demo.scenes import Scene, draw_scene
from vit_engine.demo.training import RECIPES, Mix, build_model
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.image import PreparedImage
from vit_engine.weights import LoadedModel

SMALL = partial(draw_scene, size=(32, 48))


def test_cls_attention_is_what_attend_finds(small: LoadedModel, prepared: PreparedImage):
    """Registers, a grid that is not the model's own, and two pictures of which the second is asked about."""
    other = torch.zeros_like(prepared.tensor)
    logits, rows = cls_attention(small.model, torch.stack([other, prepared.tensor]))
    trace = ve.attend(small, prepared)
    assert rows.shape == (2, 2, 3, 38)  # layers, pictures, heads, 3 + 5 × 7 tokens
    for layer in range(2):
        np.testing.assert_allclose(rows[layer, 1].numpy(), trace.rows(layer), atol=1e-6)
    torch.testing.assert_close(logits[1], small.model(prepared.tensor[None])[0])


def test_shares_leave_out_the_prefix():
    torch.testing.assert_close(shares(torch.tensor([0.1, 0.3])), torch.tensor([0.25, 0.75]))


def test_a_hit_needs_more_than_a_quarter_of_the_patch():
    attended = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    coverage = torch.tensor([1.0, 0.25, 0.26])
    assert hits(attended, coverage.expand(3, 3)).tolist() == [1, 0, 1]


def test_gain_is_attention_on_objects_over_their_area():
    coverage = torch.tensor([[1.0, 0.5, 0.0, 0.0]])
    attended = torch.tensor([[0.6, 0.2, 0.1, 0.1]])
    assert gains(attended, coverage).item() == pytest.approx((0.6 + 0.1) / 0.375)
    assert gains(torch.full((1, 4), 0.25), coverage).item() == pytest.approx(1)


def test_variation_is_the_mean_over_pairs_of_heads():
    heads = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert variation(heads).item() == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert variation(heads[:1]).item() == 0


def test_exact_set_takes_all_above_the_threshold_and_at_least_one():
    def scene(*labels: int) -> Scene:
        return Scene(np.zeros((1, 1, 3), np.uint8), labels, np.zeros((1, 1), np.uint8))

    def logits(**probabilities: float) -> Tensor:
        rest = (1 - sum(probabilities.values())) / (12 - len(probabilities))
        row = torch.full((12,), rest)
        for name, probability in probabilities.items():
            row[int(name[1:])] = probability
        return row.log()

    two = logits(c3=0.4, c7=0.35)
    unsure = logits(c5=0.2)
    one = logits(c3=0.6, c7=0.25)
    rows = torch.stack([two, two, unsure, one, one])
    assert exact_sets(rows, [scene(3, 7), scene(3), scene(5), scene(3), scene(3, 7)]).tolist() == [1, 0, 1, 1, 0]


@pytest.fixture(scope="module")
def demo() -> LoadedModel:
    """Untrained, with weights large enough for heads to differ."""
    loaded = ve.load_model("demo_vit_p16", weights="random", device="cpu", seed=3)
    for parameter in loaded.model.blocks.parameters():
        parameter.mul_(4)
    return loaded


def test_scores_are_those_of_single_scenes_through_attend(demo: LoadedModel):
    scores = score_models({"it": demo.model}, SMALL, 6)["it"]
    assert scores.scenes == 6
    for layer in (0, 5):
        head_hits, head_gains, mean_hits = np.zeros((6, 4)), np.zeros((6, 4)), []
        for seed in range(6):
            scene = SMALL(seed)
            prepared = ve.prepare_image(Image.fromarray(scene.pixels), demo.spec, size=(32, 48))
            maps = ve.attend(demo, prepared).head_maps(layer)
            coverage = (scene.mask > 0).reshape(2, 16, 3, 16).mean(axis=(1, 3))
            mean_hits.append(coverage.flat[maps.mean(axis=0).argmax()] > 0.25)
            for head, weights in enumerate(maps):
                head_hits[seed, head] = coverage.flat[weights.argmax()] > 0.25
                head_gains[seed, head] = (weights / weights.sum() * coverage).sum() / coverage.mean()
        of_layer = scores.layers[layer]
        best = of_layer.best_head
        assert of_layer.hit == pytest.approx(np.mean(mean_hits))
        assert of_layer.best_head_hit == pytest.approx(head_hits.mean(axis=0).max())
        assert of_layer.best_head_hit == pytest.approx(head_hits[:, best].mean())
        assert of_layer.best_head_gain == pytest.approx(head_gains[:, best].mean(), rel=1e-4)


def test_scores_do_not_depend_on_the_batches(demo: LoadedModel, monkeypatch: pytest.MonkeyPatch):
    together = score_models({"it": demo.model}, SMALL, 5)["it"]
    monkeypatch.setattr(evaluation, "BATCH_TOKENS", 12)  # two scenes of 6 patches at a time
    apart = score_models({"it": demo.model}, SMALL, 5)["it"]
    assert apart.scenes == together.scenes == 5
    assert apart.exact_set == together.exact_set
    for one, other in zip(together.layers, apart.layers, strict=True):
        assert vars(one) == pytest.approx(vars(other), rel=1e-4)


def test_better_of_the_last_two_layers(demo: LoadedModel):
    scores = score_models({"it": demo.model}, SMALL, 2)["it"]
    fourth, fifth = scores.layers[-2:]
    rigged = replace(scores, layers=(*scores.layers[:-2], replace(fourth, hit=0.9), replace(fifth, hit=0.8)))
    assert rigged.better_of_last_two.layer == 4
    tied = (replace(fourth, hit=0.9, gain=1.0), replace(fifth, hit=0.9, gain=2.0))
    assert replace(scores, layers=tied).better_of_last_two.layer == 5


@pytest.mark.parametrize("scenes", [0, 1_000_001])
def test_training_seeds_are_not_evaluated(scenes: int, demo: LoadedModel):
    with pytest.raises(SpecError, match="1,000,000"):
        score_models({"it": demo.model}, SMALL, scenes)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A training checkpoint whose model cannot be loaded, and its average can."""
    state = build_model(RECIPES[16]).state_dict()
    path = tmp_path / "demo_vit_p16.training.pt"
    torch.save({"model": {name: tensor * torch.nan for name, tensor in state.items()}, "average": state}, path)
    return path


def test_a_training_checkpoint_is_its_average_rounded(checkpoint: Path):
    average = build_model(RECIPES[16]).state_dict()
    candidates = load_candidates(16, checkpoint)
    for name, tensor in candidates.shipped.state_dict().items():
        assert torch.equal(tensor, average[name].half().float()), name
        assert torch.equal(candidates.original.state_dict()[name], average[name]), name
    effect = rounding_effect(candidates, SMALL, 2)
    assert 0 < effect < 1e-3


def test_shipped_weights_have_no_float32_to_compare_with():
    candidates = load_candidates(8)
    assert candidates.original is None
    assert rounding_effect(candidates, SMALL, 1) is None


def test_a_checkpoint_of_another_patch_size_is_refused(checkpoint: Path):
    with pytest.raises(CheckpointError, match="demo_vit_p8"):
        load_candidates(8, checkpoint)


def test_markdown_marks_the_better_layer(checkpoint: Path):
    result = evaluate(16, load_candidates(16, checkpoint), scenes=2, sizes=[32, 48])
    text = markdown(result)
    for size, scores in result.by_size.items():
        better = scores["trained"].better_of_last_two
        assert f"| {size[0]}×{size[1]} | **{better.layer}** | {better.hit:.2f} / {better.best_head_hit:.2f} |" in text
    assert text.count("**") == 2 * len(result.by_size)
    assert list(result.by_noise) == ["uniform", "gaussian", "grey"]
    assert f"{result.rounding:.1e}" in text


def test_evaluate_command(checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["evaluate", "--weights", str(checkpoint), "--scenes", "2", "--sizes", "32", "48"]
    assert main(arguments) == 0
    assert "### The better of the last two layers" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["model"], document["scenes"]) == ("demo_vit_p16", 2)
    assert list(document["sizes"]) == ["32×32", "48×48"]
    assert [layer["layer"] for layer in document["sizes"]["32×32"]["random"]["layers"]] == list(range(6))


def test_scenes_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "scenes"
    assert main(["scenes", "--count", "2", "--size", "32", "48", "--seed", "5", "--out", str(folder)]) == 0
    assert "2 scenes" in capsys.readouterr().out
    labels = json.loads((folder / "labels.json").read_text())
    assert (labels["height"], labels["width"]) == (32, 48)
    assert sorted(path.name for path in folder.iterdir()) == ["labels.json", "scene_000005.png", "scene_000006.png"]
    for record in labels["scenes"]:
        scene = draw_scene(record["seed"], (32, 48))
        np.testing.assert_array_equal(np.asarray(Image.open(folder / record["file"])), scene.pixels)
        assert record["labels"] == list(scene.names)


def test_train_command_exports_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(RECIPES, 16, replace(RECIPES[16], sizes={(32, 32): Mix(1.0, 1.0, 4)}))
    folder = tmp_path / "new"
    for _ in range(2):
        assert main(["train", "--patch", "16", "--steps", "1", "--folder", str(folder)]) == 0
        assert torch.load(folder / "demo_vit_p16.training.pt", weights_only=True)["step"] == 1
    assert sorted(path.name for path in folder.iterdir()) == ["demo_vit_p16.safetensors", "demo_vit_p16.training.pt"]
    assert "sha256" in capsys.readouterr().out
    assert main(["train", "--patch", "16", "--steps", "2", "--folder", str(folder)]) == 1
    assert "steps: 2 expected, 1 got" in capsys.readouterr().err
    loaded = ve.load_model("demo_vit_p16", weights=str(folder / "demo_vit_p16.training.pt"), device="cpu")
    assert loaded.model.state_dict().keys() == load_file(folder / "demo_vit_p16.safetensors").keys()


def test_train_command_refuses_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "demo_vit_p16.training.pt").write_bytes(b"damaged")
    assert main(["train", "--patch", "16", "--steps", "1", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "move it away" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--patch", "12"],
        ["evaluate", "--all", "--patch", "8"],
        ["evaluate", "--all", "--weights", "some.safetensors"],
        ["scenes", "--count", "0", "--out", "scenes"],
        ["scenes", "--count", "1", "--size", "16", "--out", "scenes"],
        ["scenes", "--count", "1", "--seed", "-1", "--out", "scenes"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert "usage: python -m vit_engine.demo" in capsys.readouterr().err
