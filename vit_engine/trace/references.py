"""Targets that are similarities: to another picture, or to a text."""

from pathlib import Path

import numpy as np
import torch

from vit_engine.errors import SpecError
from vit_engine.image import Picture, PreparedImage
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import TOKEN, RunPlan
from vit_engine.trace.checks import EMBEDDING, Overflow, check_fit, memory_errors
from vit_engine.trace.inputs import Size, ready
from vit_engine.trace.targets import PICTURE, TEXT, VectorTarget
from vit_engine.weights import LoadedModel
from vit_engine.weights.sources import Source
from vit_engine.weights.text.tower import embed_text


def picture_target(
    loaded: LoadedModel | Source, picture: PreparedImage | Picture, *, size: Size | None = None, name: str | None = None
) -> VectorTarget:
    """The cosine similarity of the image embedding to that of another picture, as what a map explains.

    The embedding is what a classifier would see: of the CLS token after the final norm, mostly. loaded, picture, size:
    as in attend(). name: of the picture, for labels and records; its file's where it is a path, else its sha256.

    Raises what attend() raises, and SpecError for an empty name.
    """
    name = _name(picture) if name is None else name
    if name is not None and not name.strip():
        raise SpecError("the name of a picture must not be empty; leave name= out for its file's or its sha256.")
    loaded, prepared = ready(loaded, picture, size=size, progress=None)
    label = f"similarity to {name or f'picture sha256:{prepared.sha256[:12]}…'}"
    written = f"{PICTURE}{name or f'sha256:{prepared.sha256}'}"
    return VectorTarget(_embedding(loaded, prepared), label, written, model=loaded.spec.name)


def text_target(loaded: LoadedModel, text: str) -> VectorTarget:
    """The cosine similarity of a picture to a text, as a CLIP computes it (Radford et al. 2021, arXiv 2103.00020).

    loaded: from the file, the folder, the name on the hub or the module of a whole CLIP, which must still be there: its
    text tower is read when this is called, and dropped afterwards. text: "a photo of a cat"; its case does not matter.
    The extra `text` must be installed.

    Raises SpecError for a text that is empty or too long for the model, CheckpointError where there is no text tower,
    or one that cannot be read whole, VitEngineError where the extra is missing.
    """
    embedding = embed_text(loaded, text)
    return VectorTarget(
        embedding.vector,
        of=f'similarity to "{text}"',
        written=f"{TEXT}{text}",
        projection=embedding.projection,
        model=loaded.spec.name,
    )


def _name(picture: PreparedImage | Picture) -> str | None:
    return Path(picture).name if isinstance(picture, str | Path) else None


def _embedding(loaded: LoadedModel, prepared: PreparedImage) -> np.ndarray:
    """Float32 (features,). NumericalError where activations overflow."""
    spec, grid = loaded.spec, prepared.grid
    check_fit(grid, spec)
    run = RunPlan.asked(
        spec, layers=-1, statistics="none", device=loaded.device, dtype=loaded.dtype, facet=TOKEN, precision="float32"
    )
    check_memory(run, grid)
    with torch.no_grad(), memory_errors(grid, loaded):
        overflow = Overflow(loaded)
        images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
        for layer, tokens in enumerate(loaded.model.token_stream(images), start=EMBEDDING):
            overflow.add(layer, tokens)
        embedding = loaded.model.pool(tokens)
        overflow.require_none(None, loaded)
    return embedding[0].float().cpu().numpy()
