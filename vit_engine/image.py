"""From bytes to what a model sees: an upright RGB picture, then pixels and a normalised tensor."""

import hashlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vit_engine.decoding import MAX_PIXELS, decode, to_rgb
from vit_engine.errors import ImageError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import INTERPOLATIONS, ModelSpec, Preprocessing

Picture = str | Path | bytes | Image.Image | np.ndarray

MAX_ASPECT = 12
_PICTURES = "a path, a file's bytes, a PIL picture, or an array (height, width, 3) of uint8, or of floats in 0..1"
_FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}


@dataclass(frozen=True)
class PreparedImage:
    """A picture as one model sees it.

    pixels: uint8 (height, width, 3), before normalisation. tensor: float32 (3, height, width),
    normalised. grid: its patches. sha256: of the source's bytes.
    """

    pixels: np.ndarray
    tensor: Tensor
    grid: TokenGrid
    sha256: str

    def __post_init__(self) -> None:
        expected = (self.grid.height, self.grid.width)
        if self.pixels.shape != (*expected, 3) or self.tensor.shape != (3, *expected):
            raise SpecError(
                f"a prepared image of {expected} px needs pixels {(*expected, 3)} and a tensor {(3, *expected)}; "
                f"got {self.pixels.shape} and {tuple(self.tensor.shape)}."
            )


def open_image(source: str | Path | bytes) -> Image.Image:
    """A picture file or its bytes as an upright RGB picture.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB, 16-bit greys are
    scaled, transparency is laid on white, and of an animation the first frame is taken. The sha256
    of the bytes is kept in `info["sha256"]`. What describes the picture (EXIF, profile, texts) is ignored where it
    is malformed. Raises ImageError for what is no picture, is damaged, has more than MAX_PIXELS pixels, or is a
    JPEG of so many scans that it would take minutes (both are refused before anything is decoded).
    """
    return decode(*read_file(source))


def read_file(source: str | Path | bytes) -> tuple[bytes, str]:
    """The bytes of a file, or bytes as they are, and what to call them in errors; ImageError for an unreadable path."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the picture file"
    try:
        return Path(source).read_bytes(), f"{str(source)!r}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(source)!r} cannot be read: {reason}. Check the path.") from error


def as_png(pixels: np.ndarray) -> bytes:
    """uint8 (height, width, 3) as a PNG that holds nothing but the pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)  # as small as the default, in a third of its time
    return buffer.getvalue()


def pixels_sha256(pixels: np.ndarray) -> str:
    """The sha256 of a picture whatever its file: of height and width, 4 bytes each, the highest first, then the pixels.

    pixels: uint8 (height, width, 3).
    """
    height, width, _ = pixels.shape
    digest = hashlib.sha256(struct.pack(">II", height, width))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def as_picture(source: Picture) -> Image.Image:
    """A picture: a file as open_image() opens it, or what is in memory as it is.

    source: a path, a file's bytes, a PIL picture of any mode, or an array (height, width, 3) of uint8, or of floats in
    0..1. Raises ImageError for anything else.
    """
    if isinstance(source, Image.Image):
        return _decoded(source)
    if isinstance(source, str | Path | bytes):
        return open_image(source)
    if isinstance(source, np.ndarray):
        return Image.fromarray(_as_bytes(source))
    raise ImageError(f"a picture must be {_PICTURES}; got {type(source).__name__}.")


def _decoded(picture: Image.Image) -> Image.Image:
    """ImageError where its pixels cannot be had: Pillow reads them when they are first asked for."""
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # whatever decoders raise
        raise ImageError(
            f"the PIL picture cannot be decoded: {error}. Its file is damaged or closed: open it again."
        ) from error
    if 0 in picture.size:
        raise ImageError(f"a picture must have pixels; the PIL picture is {picture.width}×{picture.height} px.")
    return picture


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """uint8 (height, width, 3). ImageError for other shapes, types or ranges: which is meant would be a guess."""
    kind, shape = values.dtype, values.shape
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or not (kind == np.uint8 or kind.kind == "f"):
        last = " Put the channels last: np.moveaxis(array, 0, -1)." if len(shape) == 3 and shape[0] == 3 else ""
        raise ImageError(f"a picture must be {_PICTURES}; got {kind} {shape}.{last}")
    if kind == np.uint8:
        return np.ascontiguousarray(values)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ImageError(
            f"an array of {kind} must have values in 0..1; got {low:g} to {high:g}. Scale it to 0..1, or pass uint8. "
            "Pixels that are normalised for a model already are not what is expected: it does that itself."
        )
    return np.round(values * 255).astype(np.uint8)


def prepare_image(picture: Picture, spec: ModelSpec, *, size: int | tuple[int, int] | None = None) -> PreparedImage:
    """A picture brought to a working size and normalised as the model wants it.

    picture: as open_image() returns it; a path or a file's bytes, which it opens; another PIL picture, whose EXIF
    orientation is not applied; or an array (height, width, 3) of uint8, or of floats in 0..1. size: an int is the
    short side in pixels, the aspect ratio is kept; (height, width) is exact; None is the model's native short side.
    The result is cropped at the right and the bottom to whole patches, as in DINO's own script. Raises SpecError for a
    size below one patch, ImageError for what is no picture, and for one more than MAX_ASPECT times as long as it is
    wide where the ratio is to be kept.
    """
    picture = as_picture(picture)
    picture = picture if picture.mode == "RGB" else to_rgb(picture)
    height, width = target_size((picture.height, picture.width), spec, size)
    if height * width > MAX_PIXELS:
        raise SpecError(
            f"size {size} makes the picture {height}×{width} = {height * width:,} pixels; at most {MAX_PIXELS:,} are "
            "allowed. Ask for a smaller size."
        )
    resized = picture.resize((width, height), _FILTERS[spec.preprocessing.interpolation])
    grid = spec.cropped_grid(height, width)
    pixels = np.array(resized)[: grid.height, : grid.width]
    pixels.setflags(write=False)
    sha256 = picture.info.get("sha256") or hashlib.sha256(picture.tobytes()).hexdigest()
    return PreparedImage(pixels, normalise(pixels, spec.preprocessing), grid, sha256)


def normalise(pixels: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """uint8 (..., height, width, 3) to float32 (..., 3, height, width) with the model's mean and std."""
    mean, std = (np.asarray(values, dtype=np.float32) for values in (preprocessing.mean, preprocessing.std))
    normalised = (pixels.astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(normalised, -1, -3)))


def target_size(shape: tuple[int, int], spec: ModelSpec, size: int | tuple[int, int] | None = None) -> tuple[int, int]:
    """(height, width) that a picture of this shape (height, width) is brought to, before the crop to whole patches.

    size and errors as in prepare_image.
    """
    if size is None:
        size = min(spec.native_size)
    sides = tuple(size) if isinstance(size, Sequence) else (size,)
    whole = all(isinstance(side, Integral) for side in sides)
    if not whole or len(sides) not in {1, 2} or min(sides) < spec.patch_size:
        raise SpecError(
            f"size must be a short side or (height, width), each at least one patch of {spec.patch_size} px; "
            f"got {size!r}."
        )
    sides = tuple(int(side) for side in sides)  # NumPy's integers overflow in what is reckoned from them
    if len(sides) == 2:
        return sides[0], sides[1]
    height, width = shape
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"the picture is {width}×{height} px, more than {MAX_ASPECT} times as long as it is wide; "
            "crop it, or, from Python or the command line, give an exact size (height, width)."
        )
    return with_short_side(shape, sides[0])


def with_short_side(shape: tuple[int, int], short: int) -> tuple[int, int]:
    """(height, width) at the aspect ratio of this shape and with this short side."""
    height, width = shape
    scale = short / min(width, height)
    return (short, int(width * scale + 1e-6)) if height <= width else (int(height * scale + 1e-6), short)
