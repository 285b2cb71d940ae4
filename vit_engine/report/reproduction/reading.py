"""Reading bundles, which may be anybody's: known names only, within limits, no pickles, nothing written."""

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from vit_engine.errors import SpecError

MAX_BYTES = {".json": 1 << 24, ".csv": 1 << 26, ".npz": 1 << 28, "": 1 << 28}  # by suffix; "": pictures
_BROKEN = (zipfile.BadZipFile, OSError, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
_HEADER = 10_000  # bytes before an array's own, at most


class Bundle:
    """A bundle: a zip, a folder, or a run.json and what lies beside it. SpecError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path, self.folder, self.record = path, path, "run.json"
        self.zipped = path.is_file() and zipfile.is_zipfile(path)
        if not self.zipped and path.is_file():
            self.folder, self.record = path.parent, path.name
        elif not path.exists():
            raise SpecError(f"{str(path)!r} is not there; expected a run.json, or the zip or folder of a comparison.")

    def read(self, name: str) -> bytes | None:
        """A file of the bundle by its name, which is no path; None where it is not there. SpecError past its limit."""
        limit = MAX_BYTES.get(Path(name).suffix, MAX_BYTES[""])
        data = self._from_zip(name, limit) if self.zipped else self._from_folder(name, limit)
        if data is not None and len(data) > limit:
            raise SpecError(f"{name} of {str(self.path)!r} must have at most {limit:,} bytes; it has more.")
        return data

    def _from_folder(self, name: str, limit: int) -> bytes | None:
        place = self.folder / name
        if not place.is_file():
            return None
        with place.open("rb") as file:
            return file.read(limit + 1)

    def _from_zip(self, name: str, limit: int) -> bytes | None:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return member(archive, name, limit)
        except _BROKEN as error:
            raise SpecError(
                f"{name} of {str(self.path)!r} cannot be read: {error}. Copy or export it again."
            ) from error


def member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes | None:
    """A file of a zip, at most `limit` + 1 bytes of it, whatever the zip says of its size; None where it is absent."""
    if name not in archive.namelist():
        return None
    with archive.open(name) as file:
        return file.read(limit + 1)


def read_table(data: bytes, name: str) -> pd.DataFrame:
    """A CSV; SpecError where it is none."""
    try:
        return pd.read_csv(io.BytesIO(data))
    except (ValueError, OverflowError) as error:
        raise SpecError(f"{name} is no table that can be read: {error}.") from error


def read_arrays(data: bytes, wanted: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
    """The arrays of these names, each of this shape and type or None where it is another or not there.

    Shapes are looked at before memory is taken for them. SpecError where the file is no zip of arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: _array(archive, name, array) for name, array in wanted.items()}
    except _BROKEN as error:
        raise SpecError(f"maps.npz cannot be read: {error}. Copy or export it again.") from error


def _array(archive: zipfile.ZipFile, name: str, wanted: np.ndarray) -> np.ndarray | None:
    found = member(archive, f"{name}.npy", wanted.nbytes + _HEADER)
    if found is None:
        return None
    stream = io.BytesIO(found)
    if np.lib.format.read_magic(stream) != (1, 0):
        return None
    shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    if (shape, fortran, kind) != (wanted.shape, False, wanted.dtype):
        return None
    values = found[stream.tell() :]
    return np.frombuffer(values, kind).reshape(shape) if len(values) == math.prod(shape) * kind.itemsize else None
