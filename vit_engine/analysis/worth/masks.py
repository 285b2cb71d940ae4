"""Masks of an object: from a file to pixels of the prepared picture, and from pixels to shares of patches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from vit_engine.decoding import decode, to_mask
from vit_engine.errors import ImageError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import read_file, target_size
from vit_engine.spec import ModelSpec

Box = Sequence[float]  # (y0, x0, y1, x1), fractions of the prepared picture's height and width
Mask = np.ndarray | Box


def open_mask(
    source: str | Path | bytes, shape: tuple[int, int], spec: ModelSpec, *, size: int | tuple[int, int] | None = None
) -> Bool[np.ndarray, "height width"]:
    """A mask file as pixels of the prepared picture: True where a pixel is neither black nor wholly transparent.

    source: a path or a file's bytes, of any format of open_image(); one without loss, because a JPEG's black is not
    quite black. shape: (height, width) of the picture, upright and before it was prepared. spec, size: as
    prepare_image() was given them. The mask must have the picture's size, and is then scaled to the nearest pixel and
    cropped as the picture was, or the size of the prepared picture. Raises ImageError for what is no picture and for
    any other size, and what prepare_image() raises.
    """
    data, name = read_file(source)
    return prepare_mask(np.asarray(decode(data, name, convert=to_mask), dtype=bool), shape, spec, size=size, name=name)


def prepare_mask(
    mask: Bool[np.ndarray, "H W"],
    shape: tuple[int, int],
    spec: ModelSpec,
    *,
    size: int | tuple[int, int] | None = None,
    name: str = "this one",
) -> Bool[np.ndarray, "height width"]:
    """A mask of the size of its picture, or of the prepared one, as pixels of the prepared picture.

    shape, spec, size, errors: as of open_mask(). name: what an error calls the mask.
    """
    if mask.shape == tuple(shape):
        return fit_mask(mask, spec, size=size)
    grid = spec.cropped_grid(*target_size(shape, spec, size))
    if mask.shape == (grid.height, grid.width):
        return mask
    raise ImageError(
        f"a mask must have the size of its picture, {shape[0]}×{shape[1]} px (height×width), or of the prepared "
        f"picture, {grid.height}×{grid.width} px; {name} has {mask.shape[0]}×{mask.shape[1]} px."
    )


def fit_mask(
    mask: Bool[np.ndarray, "H W"], spec: ModelSpec, *, size: int | tuple[int, int] | None = None
) -> Bool[np.ndarray, "height width"]:
    """A mask of a whole picture as prepare_image(picture, spec, size=size) prepares the picture, to the nearest pixel.

    Raises SpecError for a mask that is not bool (height, width), and what prepare_image() raises.
    """
    _check_bool(mask)
    height, width = target_size((mask.shape[0], mask.shape[1]), spec, size)
    grid = spec.cropped_grid(height, width)
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(scaled, dtype=bool)[: grid.height, : grid.width]


def mask_coverage(mask: Mask, grid: TokenGrid) -> Float[np.ndarray, "rows cols"]:
    """What part of each patch lies in a mask, by area: float64, 0..1, exact.

    mask: bool (height, width), in pixels of the prepared picture; or a box (y0, x0, y1, x1), fractions of its height
    and width in 0..1. Raises SpecError for a mask of another size or type, for a box that is none, and for what covers
    nothing or everything: neither can be pointed at.
    """
    coverage = _of_pixels(mask, grid) if isinstance(mask, np.ndarray) and mask.ndim == 2 else _of_box(mask, grid)
    if not coverage.any():
        raise SpecError("the mask is empty: it covers no pixel. Mark what the map is to find.")
    if coverage.min() == 1:
        raise SpecError("the mask covers the whole picture: every map lies inside. Leave some of the picture out.")
    return coverage


def _of_pixels(mask: np.ndarray, grid: TokenGrid) -> np.ndarray:
    _check_bool(mask)
    if mask.shape != (grid.height, grid.width):
        raise SpecError(
            f"a mask must have the size of the prepared picture, {grid.height}×{grid.width} px (height×width); got "
            f"{mask.shape[0]}×{mask.shape[1]} px. open_mask() brings a file to that size."
        )
    return mask.reshape(grid.rows, grid.patch_size, grid.cols, grid.patch_size).mean(axis=(1, 3))


def _of_box(box: Box | np.ndarray, grid: TokenGrid) -> np.ndarray:
    try:
        edges = np.asarray(box, dtype=np.float64)
    except (TypeError, ValueError):  # text, or lists of different lengths
        edges = np.empty(0)
    got = f"shape {edges.shape}" if isinstance(box, np.ndarray) else repr(box)
    if edges.shape != (4,) or not ((edges >= 0) & (edges <= 1)).all() or (edges[:2] >= edges[2:]).any():
        raise SpecError(
            "a mask must be bool (height, width), or a box (y0, x0, y1, x1) of fractions 0..1 with y0 < y1 and "
            f"x0 < x1; got {got}."
        )
    y0, x0, y1, x1 = edges.tolist()
    return np.outer(_overlaps(y0, y1, grid.rows), _overlaps(x0, x1, grid.cols))


def _overlaps(start: float, stop: float, count: int) -> np.ndarray:
    """What part of each of `count` equal intervals of 0..1 lies between start and stop."""
    edges = np.arange(count + 1)
    return np.clip(np.minimum(edges[1:], stop * count) - np.maximum(edges[:-1], start * count), 0, None)


def _check_bool(mask: np.ndarray) -> None:
    if mask.dtype != bool or mask.ndim != 2:
        raise SpecError(f"a mask must be bool (height, width); got {mask.dtype} {mask.shape}. Compare it: mask > 0.")
