"""The text tower of a CLIP, as its format's converter brings it to the names of OpenAI's and open_clip's own."""

import re
from dataclasses import dataclass

from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion

WHY_VISUAL = "of the visual tower"
VISUAL_ALONE = "it holds the visual tower alone"
_WHAT_HAS_ONE = (
    "Whole CLIPs have one: OpenAI's files, open_clip's files and folders, Hugging Face's CLIPModel, and such modules "
    "in memory."
)


@dataclass(frozen=True)
class TextTower:
    """conversion: the tower's tensors by open_clip's names, and what became of every other.

    projection: (shared, features), from the image embedding to the space that it shares with texts. heads, mlp,
    norm_eps: of the tower, as ModelSpec has them of the visual one; heads is None where nothing says it.
    """

    conversion: Conversion
    projection: Tensor
    heads: int | None
    mlp: str
    norm_eps: float

    @property
    def layers(self) -> int:
        return len(layer_numbers(self.conversion))


def no_text_tower(why: str = VISUAL_ALONE) -> CheckpointError:
    return CheckpointError(f"it has no text tower: {why}. {_WHAT_HAS_ONE}")


def layer_numbers(conversion: Conversion) -> list[int]:
    pattern = re.compile(r"transformer\.resblocks\.(\d{1,4})\.")
    return sorted({int(match[1]) for name in conversion.tensors if (match := pattern.match(name))})


def take_projection(conversion: Conversion, name: str) -> Tensor:
    """The tensor, which is dropped from the conversion. CheckpointError where it is no matrix, or not there."""
    if name not in conversion:
        raise CheckpointError(
            f"{name!r} is missing, which brings pictures into the space of texts. Load a whole CLIP that was trained "
            "with one."
        )
    projection = conversion[name]
    if projection.ndim != 2:
        raise CheckpointError(f"{name!r} must be a matrix; got the shape {tuple(projection.shape)}.")
    conversion.drop(re.escape(name), "projects image embeddings, and is taken by itself")
    return projection
