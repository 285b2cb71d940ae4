"""The demo models' training: scenes in, weights out; resumable, the same from the same seed.

The loss is cross-entropy of the CLS token's logits against the classes present (each 1/k), plus that of every patch
token after the penultimate block, through a linear layer that is thrown away, against what covers the patch. Attention
itself is never supervised.
"""

import math
import os
import pickle
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from vit_engine.demo.data import Batch, SceneStream
from vit_engine.demo.scenes import Size
from vit_engine.errors import CheckpointError
from vit_engine.model import VisionTransformer
from vit_engine.registry import find_model
from vit_engine.registry.shapes import CLASSES

EMA_DECAY = 0.999
SAVE_EVERY = 200  # steps


class Mix(NamedTuple):
    """How much of the training is on pictures of one size."""

    early: float  # share of the steps in the first half
    late: float  # and in the second
    batch: int  # pictures a step


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a training run.

    Large pictures cost most and matter late: with many more patches the softmax has many more keys to shut out, which
    small pictures never teach. The patch size must be that of a registered demo model, which is trained in these sizes.
    """

    patch_size: int
    native_size: Size
    sizes: dict[Size, Mix]  # (height, width) in pixels
    steps: int
    dim: int = 128
    depth: int = 6
    heads: int = 4
    mlp_ratio: float = 2.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    warm_up: int = 300
    auxiliary_weight: float = 1.0
    seed: int = 0

    @property
    def name(self) -> str:
        return f"demo_vit_p{self.patch_size}"


RECIPES = {
    16: Recipe(
        patch_size=16,
        native_size=(128, 128),
        sizes={
            (96, 96): Mix(0.25, 0.2, 32),
            (128, 128): Mix(0.3, 0.25, 32),
            (96, 144): Mix(0.1, 0.1, 32),
            (160, 160): Mix(0.15, 0.15, 32),
            (128, 192): Mix(0.05, 0.1, 32),
            (224, 224): Mix(0.15, 0.2, 24),
        },
        steps=9_000,
    ),
    8: Recipe(
        patch_size=8,
        native_size=(96, 96),
        sizes={
            (64, 64): Mix(0.28, 0.15, 32),
            (80, 80): Mix(0.2, 0.15, 32),
            (96, 96): Mix(0.18, 0.2, 32),
            (72, 104): Mix(0.1, 0.1, 32),
            (128, 128): Mix(0.12, 0.18, 24),
            (160, 160): Mix(0.06, 0.1, 16),
            (224, 224): Mix(0.06, 0.12, 8),
        },
        steps=5_500,
    ),
}


def build_model(recipe: Recipe) -> VisionTransformer:
    """The registered model in the recipe's sizes, its position embedding initialised by sines and cosines."""
    sizes = {name: getattr(recipe, name) for name in ("native_size", "dim", "depth", "heads", "mlp_ratio")}
    torch.manual_seed(recipe.seed)
    model = VisionTransformer(replace(find_model(recipe.name), **sizes))
    with torch.no_grad():
        cast(Tensor, model.pos_embed)[:, 1:] = _sines(*model.native_grid, recipe.dim) * 0.1
    return model


def _sines(rows: int, cols: int, dim: int) -> Tensor:
    """Two-dimensional sine-cosine positions (rows * cols, dim), over a picture of side 1."""
    frequencies = 2 * math.pi * 2.0 ** torch.linspace(-1, 3, dim // 4)
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols, indexing="ij")
    down, across = y.reshape(-1, 1) * frequencies, x.reshape(-1, 1) * frequencies
    return torch.cat([down.sin(), down.cos(), across.sin(), across.cos()], dim=1)


class Trainer:
    """A run that goes on from its checkpoint file; CheckpointError for a damaged one, or one of another recipe."""

    _PARTS = ("model", "average", "auxiliary", "optimizer")

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.checkpoint = recipe, folder / f"{recipe.name}.training.pt"
        self.settings = {name: repr(value) for name, value in vars(recipe).items()}
        self.model = build_model(recipe)
        self.auxiliary = nn.Linear(recipe.dim, 1 + len(CLASSES))
        self.average = build_model(recipe).requires_grad_(False)
        self.parameters = [*self.model.parameters(), *self.auxiliary.parameters()]
        decayed = [p for p in self.parameters if p.ndim >= 2]
        others = [p for p in self.parameters if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)
        self.streams = {size: SceneStream(recipe.seed, size, recipe.patch_size) for size in recipe.sizes}
        self.visits = dict.fromkeys(recipe.sizes, 0)
        self.step, self.seconds = 0, 0.0
        if self.checkpoint.exists():
            self._restore()

    def run(self, *, until: int | None = None) -> None:
        """Train to the recipe's last step, or to step `until`."""
        last = min(until or self.recipe.steps, self.recipe.steps)
        started = time.perf_counter() - self.seconds
        with tqdm(initial=self.step, total=self.recipe.steps, unit="step", mininterval=5) as bar:
            while self.step < last:
                size = self._size_of_step()
                batch = self.streams[size].batch(self.visits[size], self.recipe.sizes[size].batch)
                self.visits[size] += 1
                losses = self._train_on(batch)
                self.step += 1
                bar.update()
                if self.step % 20 == 0:
                    bar.set_postfix_str(f"class loss {losses[0]:.3f}, patch loss {losses[1]:.3f}", refresh=False)
                if self.step % SAVE_EVERY == 0 or self.step == last:
                    self.seconds = time.perf_counter() - started
                    self._save()

    def _size_of_step(self) -> Size:
        late = self.step >= self.recipe.steps / 2
        shares = np.array([mix.late if late else mix.early for mix in self.recipe.sizes.values()])
        rng = np.random.default_rng([self.recipe.seed, self.step])
        return list(self.recipe.sizes)[rng.choice(len(shares), p=shares / shares.sum())]

    def _train_on(self, batch: Batch) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * self._schedule()
        logits, patches = self._outputs(batch.images)
        class_loss = functional.cross_entropy(logits, batch.labels)
        patch_loss = _balanced_patch_loss(patches, batch.patches)
        self.optimizer.zero_grad(set_to_none=True)
        (class_loss + self.recipe.auxiliary_weight * patch_loss).backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return class_loss.item(), patch_loss.item()

    def _outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits, and patch logits from the tokens after the penultimate block."""
        x = self.model.embed(images)
        for block in self.model.blocks[:-1]:
            x = block(x)
        patches = self.auxiliary(x[:, self.model.prefix :])
        x = self.model.blocks[-1](x)
        return self.model.classify(x), patches

    def _schedule(self) -> float:
        if self.step < self.recipe.warm_up:
            return (self.step + 1) / self.recipe.warm_up
        done = (self.step - self.recipe.warm_up) / max(1, self.recipe.steps - self.recipe.warm_up)
        return 0.5 * (1 + math.cos(math.pi * done)) + 1e-3

    def _save(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in self._PARTS} | {
            "visits": list(self.visits.values()),
            "step": self.step,
            "seconds": self.seconds,
            "recipe": self.settings,
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def _restore(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            self._check_recipe(state.get("recipe") if isinstance(state, dict) else None)
            for name in self._PARTS:
                getattr(self, name).load_state_dict(state[name])
            self.visits = dict(zip(self.recipe.sizes, state["visits"], strict=True))
            self.step, self.seconds = state["step"], state["seconds"]
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{self.checkpoint}, of an earlier run, is damaged; "
                "move it away to start anew, or give another --folder."
            ) from error

    def _check_recipe(self, saved: dict[str, str] | None) -> None:
        """Weights fit other recipes too, but going on with one would be a run that nobody can repeat."""
        if saved == self.settings:
            return
        found = '"recipe" missing'
        if saved is not None:
            names = {name for name in self.settings.keys() | saved.keys() if self.settings.get(name) != saved.get(name)}
            texts = (f"{name}: {self.settings.get(name)} expected, {saved.get(name)} got" for name in sorted(names))
            found = "; ".join(texts)
        raise CheckpointError(
            f"{self.checkpoint} is not of this recipe: {found}. Go on with the recipe that it was begun with, "
            "move it away to start anew, or give another folder."
        )

    def export(self, path: Path) -> None:
        tensors = {name: tensor.half().contiguous() for name, tensor in self.average.state_dict().items()}
        save_file(tensors, path, metadata={"step": str(self.step), "seconds": f"{self.seconds:.0f}"})


def _balanced_patch_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of patch logits, ground and objects weighing the same in a batch."""
    losses = functional.cross_entropy(logits.flatten(0, 1), shares.flatten(0, 1), reduction="none")
    ground = shares[..., 0].flatten()
    objects = 1 - ground
    return ((losses * ground).sum() / ground.sum() + (losses * objects).sum() / objects.sum()) / 2
