"""Pictures as a browser takes them within a figure; photographs are encoded once: a server draws them repeatedly."""

import base64
import hashlib
import io
import threading

import numpy as np
from cachetools import LRUCache, cached
from PIL import Image

RECENT_BYTES = 1 << 24
SHARP = 720  # pixels, at least, of the longer side of an image whose pixels are patches


def _key(pixels: np.ndarray, *, quality: int) -> tuple[bytes, tuple[int, ...], int]:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=32).digest(), pixels.shape, quality


def png_address(pixels: np.ndarray) -> str:
    """An image of a colour a patch as a data: address: uint8 (rows, cols, 3 or 4), with sharp edges when enlarged."""
    factor = -(-SHARP // max(pixels.shape[:2]))  # browsers smooth between pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1)).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cached(LRUCache(RECENT_BYTES, getsizeof=len), key=_key, lock=threading.Lock())
def jpeg_address(pixels: np.ndarray, *, quality: int) -> str:
    """A picture as a data: address. pixels: uint8 (height, width, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
