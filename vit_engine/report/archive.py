"""Files by name, as a zip or in a folder, and arrays as one file. Needs nothing that draws a page."""

import io
import zipfile
from pathlib import Path

import numpy as np

RECORD = "run.json"
_THEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: the same contents are the same file


def as_zip(contents: dict[str, bytes]) -> bytes:
    """Files by name in one; the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _THEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, contents[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write_bundle(folder: Path, contents: dict[str, bytes]) -> None:
    """Files by name, in a folder that exists."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def as_npz(found: dict[str, np.ndarray]) -> bytes:
    """Arrays by name in one file that numpy.load() reads."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **found)
    return buffer.getvalue()
