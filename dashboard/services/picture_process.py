"""A process that decodes one picture and ends: picture_process.py ENGINE MOST_PIXELS KEPT_PIXELS SECONDS BYTES KIND.

stdin: the file. stdout: a line of JSON, {"height", "width"} and then the pixels row by row, {"problem": why there are
none}, or {"larger": true} where it has more than MOST_PIXELS. ENGINE: the folder of vit_engine. KIND: "picture", whose
pixels are RGB, or "mask", whose pixels are one byte. Neither PyTorch nor Streamlit is imported here, so that a picture
costs a tenth of a second to start.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType

try:
    import resource
except ModuleNotFoundError:  # Windows: whoever started this process ends it in time
    resource = None  # type: ignore[assignment]


def main() -> None:
    """Decode what comes on stdin."""
    decoding = _decoder(sys.argv[1])
    most_pixels, kept_pixels, seconds, memory = map(int, sys.argv[2:6])
    convert = decoding.to_mask if sys.argv[6] == "mask" else decoding.to_rgb
    data = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # libtiff and others write there from C
    _limit(seconds, memory)
    answer, pixels = _decoded(decoding, data, most_pixels, kept_pixels, convert)
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(pixels)


def _decoder(folder: str) -> ModuleType:
    """vit_engine.decoding, by way of a package of that name whose __init__ is not run: that would import PyTorch."""
    package = ModuleType("vit_engine")
    package.__path__ = [folder]
    sys.modules["vit_engine"] = package
    return importlib.import_module("vit_engine.decoding")


def _limit(seconds: int, memory: int) -> None:
    """Bound CPU time and memory, where the system can: macOS bounds no address space, Windows neither."""
    for name, limit in (("RLIMIT_CORE", 0), ("RLIMIT_CPU", seconds), ("RLIMIT_AS", memory)):
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit + 1 if name == "RLIMIT_CPU" else limit))


def _decoded(
    decoding: ModuleType, data: bytes, most_pixels: int, kept_pixels: int, convert: Callable
) -> tuple[dict, bytes]:
    """What is said of the picture, and its pixels, which are none where there is a problem."""
    try:
        picture = decoding.decode(data, most_pixels=most_pixels, convert=convert)
        picture = decoding.reduced(picture, kept_pixels)
        return {"height": picture.height, "width": picture.width}, picture.tobytes()
    except decoding.TooManyPixelsError as error:
        return ({"larger": True} if most_pixels < decoding.MAX_PIXELS else {"problem": str(error)}), b""
    except decoding.ImageError as error:
        return {"problem": str(error)}, b""
    except MemoryError:  # for what comes after decoding
        return {"problem": "the picture file needs more memory than is allowed here; scale it down first."}, b""


if __name__ == "__main__":
    main()
