"""What attend() and features() are given, as a model and a picture that are ready to run."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from vit_engine.errors import SpecError
from vit_engine.image import Picture, PreparedImage, as_picture, prepare_image
from vit_engine.progress import Progress
from vit_engine.spec import ModelSpec
from vit_engine.weights import LoadedModel, load_model
from vit_engine.weights.sources import Source

Size = int | tuple[int, int]

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def ready(
    model: LoadedModel | Source, picture: PreparedImage | Picture, *, size: Size | None, progress: Progress | None
) -> tuple[LoadedModel, PreparedImage]:
    """The model loaded and the picture prepared, each where it is not yet; the picture is opened first.

    Raises SpecError for the two in the wrong order, and for a size of a picture that is prepared already.
    """
    _check_order(model, picture)
    if isinstance(picture, PreparedImage):
        if size is not None:
            raise SpecError(
                f"size= goes with a picture that is not prepared; this one is, to {picture.grid.height}×"
                f"{picture.grid.width} px. Leave size= out, or pass the picture itself."
            )
        return _loaded(model, progress), picture
    opened = as_picture(picture)  # before weights are loaded or even downloaded
    loaded = _loaded(model, progress)
    return loaded, prepare_image(opened, loaded.spec, size=size)


def _loaded(model: LoadedModel | Source, progress: Progress | None) -> LoadedModel:
    return model if isinstance(model, LoadedModel) else load_model(model, progress=progress)


def _check_order(model: object, picture: object) -> None:
    picture_first = isinstance(model, PreparedImage | Image.Image | np.ndarray) or (
        isinstance(model, str | Path) and Path(model).suffix.lower() in PICTURE_SUFFIXES
    )
    model_last = isinstance(picture, LoadedModel | ModelSpec | nn.Module)
    if picture_first or model_last:
        raise SpecError(
            "attend() and features() take the model first, then the picture; got "
            f"{_named(model)} first, then {_named(picture)}."
        )


def _named(value: object) -> str:
    return repr(str(value)) if isinstance(value, str | Path) else type(value).__name__
