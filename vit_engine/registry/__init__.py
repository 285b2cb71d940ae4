"""The models that can be asked for by name: one row each, a file a family."""

import difflib
from pathlib import Path

from vit_engine.errors import SpecError
from vit_engine.registry import deit, demo, dino, dinov2, mae, random, torchvision
from vit_engine.spec import ModelSpec

MODELS: tuple[ModelSpec, ...] = (
    *demo.MODELS,
    *dino.MODELS,
    *dinov2.MODELS,
    *deit.MODELS,
    *torchvision.MODELS,
    *mae.MODELS,
    *random.MODELS,
)


def list_models() -> tuple[ModelSpec, ...]:
    """All models known by name: the demo models that come along, self-supervised, supervised, and random ones."""
    return MODELS


def find_model(name: str) -> ModelSpec:
    """The model of this name; SpecError where there is none, naming those that are near."""
    for spec in MODELS:
        if spec.name == name:
            return spec
    names = [spec.name for spec in MODELS]
    nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    perhaps = f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else "."
    raise SpecError(
        f"no model is called {name!r}{perhaps} `vit-engine models` and list_models() list all {len(names)}."
    )


def model_of_file(path: Path) -> ModelSpec | None:
    """The model whose published weights have this file name, wherever they lie; None where there is none."""
    return next((spec for spec in MODELS if spec.weights is not None and spec.weights.filename == path.name), None)
