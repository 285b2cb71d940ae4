"""Training in miniature: it learns, goes on as if never stopped, and what it exports loads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from vit_engine.demo.training import RECIPES, Mix, Recipe, Trainer, build_model
from vit_engine.errors import CheckpointError
from vit_engine.model import VisionTransformer
from vit_engine.registry import find_model
from vit_engine.registry.shapes import CLASSES
from vit_engine.spec import ModelSpec
from vit_engine.weights import load_model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one thread are the same from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _recipe(steps: int) -> Recipe:
    return Recipe(
        patch_size=8,
        native_size=(32, 32),
        sizes={(32, 32): Mix(0.6, 0.5, 8), (32, 48): Mix(0.4, 0.5, 6)},
        steps=steps,
        dim=16,
        depth=2,
        heads=2,
        learning_rate=5e-3,
        warm_up=2,
    )


class _Listening(Trainer):
    """Keeps each step's losses."""

    def _train_on(self, batch) -> tuple[float, float]:
        losses = super()._train_on(batch)
        self.__dict__.setdefault("losses", []).append(losses)
        return losses


def test_one_batch_seen_again_and_again_is_learned(tmp_path: Path) -> None:
    trainer = Trainer(_recipe(80), tmp_path)
    batch = trainer.streams[32, 32].batch(0, 8)
    losses = [trainer._train_on(batch) for _ in range(80)]
    for name, first, last in zip(("class", "patch"), losses[0], losses[-1], strict=True):
        assert last < 0.7 * first, f"{name} loss: {first:.3f} to {last:.3f}"


def test_the_patch_loss_falls_on_fresh_scenes(tmp_path: Path):
    trainer = _Listening(_recipe(80), tmp_path)
    trainer.run()
    losses = torch.tensor(trainer.losses)
    first, last = losses[:10].mean(dim=0), losses[-10:].mean(dim=0)
    assert last[1] < 0.8 * first[1], f"patch loss: {first[1]:.3f} to {last[1]:.3f}"


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    parts = {"model": trainer.model, "average": trainer.average, "auxiliary": trainer.auxiliary}
    return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "halves").mkdir()
    whole = Trainer(_recipe(7), tmp_path / "whole")
    whole.run()
    first = Trainer(_recipe(7), tmp_path / "halves")
    first.run(until=3)
    assert first.step == 3
    second = Trainer(_recipe(7), tmp_path / "halves")
    assert second.step == 3
    second.run()
    assert second.step == whole.step == 7
    resumed = _tensors(second)
    for name, tensor in _tensors(whole).items():
        assert torch.equal(tensor, resumed[name]), name
    moved = [name for name, tensor in _tensors(first).items() if not torch.equal(tensor, resumed[name])]
    assert moved, "the second half trained"


def test_a_checkpoint_of_another_recipe_is_refused_by_what_differs(tmp_path: Path):
    Trainer(_recipe(2), tmp_path).run(until=1)
    path = tmp_path / "demo_vit_p8.training.pt"
    before = path.read_bytes()
    other = replace(_recipe(3), sizes={(32, 32): Mix(1.0, 1.0, 4)})
    with pytest.raises(CheckpointError) as refusal:
        Trainer(other, tmp_path)
    message = str(refusal.value)
    assert f"{path} is not of this recipe" in message
    assert "steps: 3 expected, 2 got" in message
    assert "sizes: {(32, 32): Mix(early=1.0, late=1.0, batch=4)} expected" in message
    assert "seed" not in message
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("state", "complaint"),
    [({"step": 1}, r'"recipe" missing.*move it away'), ({"recipe": {"dim": [1]}}, r"dim: 16 expected, \[1\] got")],
)
def test_a_checkpoint_that_does_not_say_its_recipe_is_refused(state: dict[str, Any], complaint: str, tmp_path: Path):
    torch.save(state, tmp_path / "demo_vit_p8.training.pt")
    with pytest.raises(CheckpointError, match=complaint):
        Trainer(_recipe(2), tmp_path)


def test_export_loads_as_the_averaged_model_in_float16(tmp_path: Path):
    trainer = Trainer(_recipe(4), tmp_path)
    trainer.run()
    path = tmp_path / "tiny.safetensors"
    trainer.export(path)
    with safe_open(path, "pt") as file:
        assert file.metadata()["step"] == "4"
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    recipe = trainer.recipe
    spec = ModelSpec(
        name="tiny",
        title="Tiny",
        family="demo",
        patch_size=recipe.patch_size,
        dim=recipe.dim,
        depth=recipe.depth,
        heads=recipe.heads,
        mlp_ratio=recipe.mlp_ratio,
        native_size=recipe.native_size,
        class_names=CLASSES,
    )
    loaded = load_model(spec, weights=path, device="cpu").model.state_dict()
    live = trainer.model.state_dict()
    for name, tensor in trainer.average.state_dict().items():
        assert torch.equal(loaded[name], tensor.half().float()), name
    assert any(not torch.equal(loaded[name], live[name].half().float()) for name in live), "not the live weights"


@pytest.mark.parametrize("patch_size", sorted(RECIPES))
def test_recipes_build_the_registered_models(patch_size: int):
    registered = VisionTransformer(find_model(f"demo_vit_p{patch_size}")).state_dict()
    trained = build_model(RECIPES[patch_size]).state_dict()
    assert {name: tensor.shape for name, tensor in trained.items()} == {
        name: tensor.shape for name, tensor in registered.items()
    }
    mixes = RECIPES[patch_size].sizes.values()
    assert sum(mix.early for mix in mixes) == pytest.approx(1)
    assert sum(mix.late for mix in mixes) == pytest.approx(1)
