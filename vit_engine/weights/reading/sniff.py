"""What a file is, by its first bytes and not by its name: a container that can be read, or why it cannot."""

import re
from pathlib import Path

from vit_engine.errors import CheckpointError

HEAD = 512  # bytes that are looked at
SAFETENSORS_HEADER = 8  # bytes that hold the length of a safetensors header, which begins with "{"

_UNPACK = "Unpack it, and pass what is in it."
_CONVERT = "Save the model from PyTorch: its state_dict() with torch.save(), or as safetensors."
_AGAIN = "Download it again, and look at its size."

# What files are that are taken for checkpoints, by their first bytes as a regular expression, and what to do.
_LOOKS: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"version https://git-lfs",
        "a Git LFS pointer, the note that Git leaves in place of a large file",
        "Run `git lfs pull` where it came from, or download the file itself.",
    ),
    (rb"\x1f\x8b", "a gzip archive", _UNPACK),
    (rb"BZh", "a bzip2 archive", _UNPACK),
    (rb"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!", "a RAR archive", _UNPACK),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write", _CONVERT),
    (rb"\x93NUMPY", "a single NumPy array", _CONVERT),
    (rb"GGUF", "a GGUF file, which holds quantised weights", _CONVERT),
    (rb"\x89PNG", "a picture (PNG)", "Pass it to open_image()."),
    (rb"\xff\xd8\xff", "a picture (JPEG)", "Pass it to open_image()."),
    (rb"%PDF", "a PDF document", "Pass the checkpoint."),
    (rb"(?s).{257}ustar", "a tar archive", _UNPACK),
    (rb"(?s).{4}TFL3", "a TensorFlow Lite model", _CONVERT),
    (rb"[\x81-\x8f\xde\xdf].{0,4}[\xa1-\xbf\xd9]\w", "a msgpack file, as Flax writes", _CONVERT),
    (rb"(?i)\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", "a web page (HTML): a login page or an error", _AGAIN),
    (rb"\s*<", "an XML document, which is what servers answer instead of a file that they refuse", _AGAIN),
    (rb"\s*[{\[]", "a JSON document", "Pass the weights that belong to it, or the folder with both."),
)
# ir_version, and what may follow it: the producer's name or version, domain, model_version, graph or opset_import.
_ONNX = re.compile(rb"\x08[\x01-\x7f][\x12\x1a\x22\x28\x3a\x42]")
_TENSORFLOW = re.compile(r"\.(pb|index|data-\d+-of-\d+)$")


def container_of(path: Path, head: bytes, size: int) -> str:
    """ "torch zip", "torch pickle", "safetensors" or "onnx", by how a file begins.

    CheckpointError, saying what else it is, for all others.
    """
    if not size:
        raise CheckpointError(
            f"{path} is empty (0 bytes); expected safetensors, a PyTorch file or an ONNX file. Copy it again."
        )
    if head.startswith(b"PK\x03\x04"):
        return "torch zip"
    # Before pickles: the length of a header, 0x0280 say, may have their first two bytes.
    if head[SAFETENSORS_HEADER : SAFETENSORS_HEADER + 1] == b"{" and head[6:8] == b"\x00\x00":
        return "safetensors"
    if _ONNX.match(head):
        return "onnx"
    if head[0] == 0x80 and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "torch pickle"
    what, todo = _what_else(path, head)
    raise CheckpointError(f"{path} is not a weight file: it is {what}. {todo}")


def _what_else(path: Path, head: bytes) -> tuple[str, str]:
    for pattern, what, todo in _LOOKS:
        if re.match(pattern, head):
            return what, todo
    if _TENSORFLOW.search(path.name):
        return "a part of a TensorFlow checkpoint, by its name", _CONVERT
    if text := _as_text(head):
        return f"text, beginning with {text[:40]!r}", _AGAIN
    return f"of a kind that is not known here, beginning with the bytes {head[:8].hex(' ')}", "Copy it again."


def _as_text(head: bytes) -> str:
    """Empty where it is no text. The last character may be cut in the middle."""
    text = head.decode("utf-8", errors="ignore")
    whole = len(text.encode()) >= len(head) - 3
    return text.strip() if whole and all(each.isprintable() or each.isspace() for each in text) else ""
