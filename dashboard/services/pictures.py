"""Pictures: samples that are always there, and uploads that are held for a while."""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

import vit_engine as ve
from dashboard.jobs import Jobs, Progress, Store
from dashboard.samples import SAMPLES, Sample, find_sample
from dashboard.services import limits
from dashboard.services.process import once_per_process
from dashboard.state import UPLOAD_PREFIX
from vit_engine.demo.scenes import draw_scene


@dataclass(frozen=True)
class Picture:
    """A picture's file, its sha256, its shape (height, width) in pixels, and what to call it.

    credit: empty for uploads. scene: whether it was generated.
    """

    data: bytes
    sha256: str
    shape: tuple[int, int]
    title: str
    credit: str = ""
    scene: bool = False


@once_per_process
def _uploads() -> Store[Picture]:
    return Store(limits.UPLOAD_BYTES, size=lambda picture: len(picture.data))


@once_per_process
def _readers() -> Jobs:
    return Jobs(at_once=2, waiting="waiting for other pictures")


@lru_cache(len(SAMPLES))
def sample_picture(name: str) -> Picture:
    """A sample as a picture."""
    sample = find_sample(name) or SAMPLES[0]
    buffer = io.BytesIO()
    Image.fromarray(_sample_pixels(sample)).save(buffer, "PNG")
    data = buffer.getvalue()
    picture = ve.open_image(data)
    return Picture(
        data, picture.info["sha256"], _shape(picture), sample.title, sample.credit, scene=sample.scene is not None
    )


def _shape(picture: Image.Image) -> tuple[int, int]:
    return picture.height, picture.width


def _sample_pixels(sample: Sample) -> np.ndarray:
    if sample.scene is not None:
        seed, height, width = sample.scene
        return draw_scene(seed, (height, width)).pixels
    import skimage.data  # noqa: PLC0415  (slow to import, and only needed for photographs)

    pixels = getattr(skimage.data, sample.photograph)()
    return np.where(pixels, 255, 0).astype(np.uint8) if pixels.dtype == bool else pixels


@lru_cache(2 * len(SAMPLES))
def thumbnail(name: str, side: int = 96) -> bytes:
    """The middle of a sample, a square JPEG of this side in pixels."""
    picture = ve.open_image(sample_picture(name).data)
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    buffer = io.BytesIO()
    picture.crop((left, top, left + edge, top + edge)).resize((side, side)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def keep_upload(data: bytes, progress: Progress) -> Picture:
    """An uploaded file as a picture that links can name as long as it is held; ImageError if it is none."""
    sha256 = hashlib.sha256(data).hexdigest()

    def check(report: Progress) -> Picture:
        report(0.0, "reading the picture")
        picture = Picture(data, sha256, _shape(ve.open_image(data)), "Uploaded picture")
        _uploads().put(sha256, picture)
        return picture

    return _uploads().get(sha256) or _readers().run(sha256, check, progress)


def find_upload(sha256: str) -> Picture | None:
    """An uploaded picture that is still held, or None."""
    return _uploads().get(sha256)


def find_picture(name: str) -> Picture:
    """A sample by its name, or an upload by "sha256:…"; ImageError if that is no longer held."""
    if not name.startswith(UPLOAD_PREFIX):
        return sample_picture(name)
    upload = find_upload(name.removeprefix(UPLOAD_PREFIX))
    if upload is None:
        raise ve.ImageError("The uploaded picture is no longer held here: upload it again.")
    return upload
