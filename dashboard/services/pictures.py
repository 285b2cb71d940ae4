"""Pictures: samples that are always there, and uploads that are held for a while; masks of objects in them."""

import hashlib
import io
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from dashboard.links.pictures import UPLOAD_PREFIX
from dashboard.samples import SAMPLES, Sample, find_sample
from dashboard.services import limits
from dashboard.services.decoder import LargerPictureError, decode, memory_limit
from dashboard.services.jobs import Jobs, Store
from dashboard.services.lanes import UNKNOWN, Size
from dashboard.services.process import once_per_process, session
from vit_engine.containers import decoded_pixels
from vit_engine.decoding import MAX_PIXELS
from vit_engine.demo.scenes import draw_scene
from vit_engine.image import as_png
from vit_engine.progress import Progress

MASK_FROM = 127  # of 255, in a mask that was reduced: half of a pixel and more
SMALL_SECONDS = 1.0  # that a picture is expected to take, at most, to have a place kept free for it
_PIXELS, _BYTES = 2e7, 1e7  # decoded a second, about, on a slow machine; a progressive JPEG's once for each scan

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture; of an upload nothing else is kept, neither the file nor what it says of its owner."""

    pixels: np.ndarray  # upright, uint8 (height, width, 3)
    sha256: str  # of its file
    title: str
    credit: str = ""  # of samples
    scene: bool = False  # whether it was generated
    sample: str = ""  # its name, where it is one

    @property
    def name(self) -> str:
        """What links call it."""
        return self.sample or UPLOAD_PREFIX + self.sha256

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[:2]

    @property
    def data(self) -> bytes:
        """The pixels as a PNG, without metadata."""
        return as_png(self.pixels)

    def open(self) -> Image.Image:
        """The picture as vit_engine.open_image gives it."""
        picture = Image.fromarray(self.pixels)
        picture.info["sha256"] = self.sha256
        return picture


@dataclass(frozen=True, eq=False)
class Mask:
    """An uploaded mask of an object; of its file nothing else is kept."""

    pixels: np.ndarray  # upright, bool (height, width)
    sha256: str  # of its file

    @property
    def name(self) -> str:
        """What links call it."""
        return UPLOAD_PREFIX + self.sha256


_masks = once_per_process(lambda: Store[Mask](limits.MASK_BYTES, size=lambda mask: mask.pixels.nbytes))
_uploads = once_per_process(lambda: Store[Picture](limits.UPLOAD_BYTES, size=lambda picture: picture.pixels.nbytes))


@once_per_process
def _readers() -> Jobs:
    """Pictures of up to limits.KEPT_PIXELS, with a place for small ones that slow ones never take."""
    waiting, at_once = "waiting for other pictures", limits.PICTURES_AT_ONCE
    return Jobs(at_once=at_once, waiting=waiting, for_small=1, small_seconds=SMALL_SECONDS)


# Larger ones, which take a gigabyte and seconds each: one at a time, and never in the way of small ones.
_large_readers = once_per_process(lambda: Jobs(at_once=1, waiting="waiting for other large pictures"))


@lru_cache(len(SAMPLES))
def sample_picture(name: str) -> Picture:
    """A sample as a picture."""
    sample = find_sample(name) or SAMPLES[0]
    pixels = np.array(Image.fromarray(_sample_pixels(sample)).convert("RGB"))
    pixels.setflags(write=False)
    sha256 = hashlib.sha256(as_png(pixels)).hexdigest()
    return Picture(pixels, sha256, sample.title, sample.credit, scene=sample.scene is not None, sample=sample.name)


def _sample_pixels(sample: Sample) -> np.ndarray:
    if sample.scene is not None:
        seed, height, width = sample.scene
        return draw_scene(seed, (height, width)).pixels
    import skimage.data  # noqa: PLC0415  (slow to import, and only needed for photographs)

    pixels = getattr(skimage.data, sample.photograph)()
    if sample.part is not None:
        pixels = pixels[sample.part]
    return np.where(pixels, 255, 0).astype(np.uint8) if pixels.dtype == bool else pixels


@lru_cache(len(SAMPLES))
def thumbnail(name: str) -> bytes:
    """The middle of a sample, a square JPEG."""
    buffer = io.BytesIO()
    ImageOps.fit(sample_picture(name).open(), (96, 96)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def keep_upload(data: bytes, progress: Progress) -> Picture:
    """An uploaded file, decoded once, as a picture that links can name as long as it is held; ImageError if none."""
    sha256 = hashlib.sha256(data).hexdigest()

    def read(most_pixels: int, report: Progress) -> Picture:
        return Picture(decode(data, report, most_pixels=most_pixels), sha256, "Uploaded picture")

    return _read(sha256, read, progress, store=_uploads(), size=_expected(data))


def keep_mask(data: bytes, progress: Progress) -> Mask:
    """An uploaded mask file, as keep_upload() keeps a picture: True where it is neither black nor transparent."""
    sha256 = hashlib.sha256(data).hexdigest()

    def read(most_pixels: int, report: Progress) -> Mask:
        pixels = decode(data, report, most_pixels=most_pixels, mask=True)[..., 0] > MASK_FROM
        pixels.setflags(write=False)
        return Mask(pixels, sha256)

    return _read(("mask", sha256), read, progress, store=_masks(), size=_expected(data))


def _read(
    key: Hashable,
    read: Callable[[int, Progress], Value],
    progress: Progress,
    *,
    store: Store[Value],
    size: Size,
) -> Value:
    """What read(most pixels, report) makes of a file, in a job; one of many pixels among the large ones."""
    small = partial(read, limits.KEPT_PIXELS)
    try:
        return _readers().run(key, small, progress, store=store, session=session(), size=size)
    except LargerPictureError:
        large = partial(read, MAX_PIXELS)
        return _large_readers().run(key, large, progress, store=store, session=session())


def _expected(data: bytes) -> Size:
    """What decoding a file takes, as far as its headers tell; those of large files are not even looked at."""
    seconds = len(data) / _BYTES
    if seconds > SMALL_SECONDS or (pixels := decoded_pixels(data)) is None:
        return UNKNOWN
    return Size(seconds + pixels / _PIXELS, memory_limit(len(data), limits.KEPT_PIXELS))


def find_mask(sha256: str) -> Mask | None:
    """An uploaded mask that is still held, or None."""
    return _masks().get(("mask", sha256))


def find_upload(sha256: str) -> Picture | None:
    """An uploaded picture that is still held, or None."""
    return _uploads().get(sha256)


def find_picture(name: str) -> Picture | None:
    """A picture by what links call it: a sample, or an upload that is still held; None where there is none."""
    if name.startswith(UPLOAD_PREFIX):
        return find_upload(name.removeprefix(UPLOAD_PREFIX))
    return sample_picture(name) if find_sample(name) else None
