"""From bytes to what a model sees: an upright RGB picture, then pixels and a normalised tensor."""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from vit_engine.errors import ImageError, SpecError
from vit_engine.spec import INTERPOLATIONS, ModelSpec, Preprocessing, TokenGrid

MAX_PIXELS = 64_000_000
MAX_ASPECT = 12
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # no others: Pillow reads EPS by running Ghostscript
_TILE = 512  # pixels a side
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
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
    of the bytes is kept in `info["sha256"]`. Raises ImageError for what is no picture, is damaged,
    or has more than MAX_PIXELS pixels (refused before it is decoded).
    """
    data, name = _read(source)
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture.")
    picture = _open(data, name)
    try:
        picture.load()
        result = _to_rgb(_upright(picture))
    except Exception as error:  # decoders of damaged bytes raise whatever they stumble over
        raise ImageError(f"{name} is damaged or cut off: {error}. Save or copy it again.") from error
    result.info = {"sha256": hashlib.sha256(data).hexdigest()}
    return result


def _read(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the picture file"
    try:
        return Path(source).read_bytes(), f"{str(source)!r}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(source)!r} cannot be read: {reason}. Check the path.") from error


def _open(data: bytes, name: str) -> Image.Image:
    """The picture, of which only the header is read yet."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except _BOMB as error:
        raise ImageError(f"{name} has more pixels than the limit of {MAX_PIXELS:,}; scale it down first.") from error
    except Exception as error:
        raise ImageError(
            f"{name} is not a picture that can be read; expected PNG, JPEG, WebP, GIF, BMP or TIFF."
        ) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width}×{height} = {width * height:,} pixels; the limit is {MAX_PIXELS:,}. Scale it down first."
        )
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says. ImageOps.exif_transpose writes all of EXIF anew, and fails where a tag is malformed."""
    turn = _UPRIGHT.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep_grey(picture)
    profile = picture.info.get("icc_profile")
    if "A" in picture.getbands() or "transparency" in picture.info:
        layers = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    if profile and picture.mode in {"RGB", "CMYK", "L"}:
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile says nothing about the pixels
        if converted is not None:
            return converted
    return picture.convert("RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """16 and 32 bit greys: of the type's range where the values use 16 bits, else from their own extremes.

    Tile by tile: at the limit of pixels, whole copies in floating point would take gigabytes.
    """
    low, high = _extremes(picture)
    darkest, brightest = _range(low, high, whole=picture.mode.startswith("I"))
    span = brightest - darkest
    result = Image.new("L", picture.size)
    for corner, tile in _tiles(picture):
        values = np.nan_to_num(tile, nan=low, posinf=high, neginf=low)
        grey = (values - darkest) * (255 / span) if span else np.clip(values, 0, 255)
        result.paste(Image.fromarray(grey.round().astype(np.uint8)), corner)
    return result.convert("RGB")


def _range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """The values that become black and white."""
    if whole and low >= 0 and 255 < high <= 65535:
        return 0.0, 65535.0
    if low >= 0 and 1 < high <= 255:
        return 0.0, 255.0
    return low, high


def _extremes(picture: Image.Image) -> tuple[float, float]:
    """The least and the largest finite value; zeros where none is finite."""
    low, high = math.inf, -math.inf
    for _, tile in _tiles(picture):
        finite = np.isfinite(tile)
        low = min(low, tile.min(where=finite, initial=math.inf))
        high = max(high, tile.max(where=finite, initial=-math.inf))
    return (low, high) if low <= high else (0.0, 0.0)


def _tiles(picture: Image.Image) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Parts of a picture as float64 (height, width), each with its corner (x, y)."""
    width, height = picture.size
    for top, left in product(range(0, height, _TILE), range(0, width, _TILE)):
        box = (left, top, min(left + _TILE, width), min(top + _TILE, height))
        yield (left, top), np.asarray(picture.crop(box), dtype=np.float64)


def prepare_image(picture: Image.Image, spec: ModelSpec, *, size: int | tuple[int, int] | None = None) -> PreparedImage:
    """A picture brought to a working size and normalised as the model wants it.

    size: an int is the short side in pixels, the aspect ratio is kept; (height, width) is exact;
    None is the model's native short side. The result is cropped at the right and the bottom to
    whole patches, as in DINO's own script. Raises SpecError for a size below one patch, ImageError
    for a picture more than MAX_ASPECT times as long as it is wide where the ratio is to be kept.
    """
    picture = picture if picture.mode == "RGB" else _to_rgb(picture)
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
            f"got {size}."
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
