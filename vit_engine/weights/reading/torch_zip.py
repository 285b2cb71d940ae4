"""PyTorch's zip archives, as torch.save() writes them since 1.6: a pickle, and a record for each storage.

Read by the standard library's zipfile alone. A second reader beside it, PyTorch's own, could be shown another
archive in the same file than the one that was looked at; and it does not verify the records' CRC-32.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.limits import check_within_limit
from vit_engine.weights.reading.listing import listed
from vit_engine.weights.reading.pickle_names import resolver
from vit_engine.weights.reading.pickles import Limited, Unreadable, unpickle
from vit_engine.weights.reading.storages import OTHER_ORDER, Storage, StorageType, storage_key, swap_bytes

_LONGEST_DIRECTORY = 8_000_000  # bytes of the list of entries: 80,000 of them
_PIECE = 1 << 20


def read_zip(path: Path) -> Any:
    """What an archive holds. CheckpointError for other archives; Unreadable, or what damage leads to, if not whole."""
    with _ShortReads(path.open("rb", buffering=0)) as file, _open(path, file) as archive:
        prefix = _check_torch_zip(path, archive, path.stat().st_size)
        storages = _Records(archive, prefix)
        with storages.open(archive.getinfo(f"{prefix}data.pkl")) as pickled:
            limited = Limited(pickled)
            content = unpickle(limited, resolve=resolver(limited), storage=storages.find)
            _read_out(pickled)
        storages.verify_others()
        return content


def _read_out(record: IO[bytes]) -> None:
    """To its end, where zipfile verifies its CRC-32."""
    while record.read(_PIECE):
        pass


class _ShortReads(io.BufferedReader):
    """zipfile reads the list of entries as a whole, however long it claims to be."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(_LONGEST_DIRECTORY + 1 if size is None or size < 0 else min(size, _LONGEST_DIRECTORY + 1))
        if len(data) > _LONGEST_DIRECTORY:
            raise CheckpointError(
                f"it is a zip archive of more entries than any model has: their list has over "
                f"{_LONGEST_DIRECTORY:,} bytes. Save the state_dict() of the model alone."
            )
        return data


class _Records:
    """The storages of an archive, each read once, when a tensor first needs it."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self._archive, self._prefix = archive, prefix
        self._unchecked = all(not entry.CRC for entry in archive.infolist())
        self._values: dict[str, bytearray] = {}
        self._opened: set[int] = set()  # where the entries begin that were read
        self._swapped = self._byte_order() == OTHER_ORDER

    def find(self, saved: Any) -> Storage:
        word, kind, name, _, count = saved
        key = storage_key(word, kind, name)
        if key not in self._values:
            self._values[key] = self._read(f"{self._prefix}data/{key}", kind)
        if kind.nbytes(count) != len(self._values[key]):
            raise Unreadable(f"claims storages of other lengths than it has ({count:,} values)")
        return Storage(self._values[key], kind)

    def verify_others(self) -> None:
        """The CRC-32 of what nothing asked for: versions, and storages of no tensor. BadZipFile where one is wrong."""
        for entry in self._archive.infolist():
            if entry.header_offset not in self._opened:
                with self.open(entry) as record:
                    _read_out(record)

    def open(self, entry: zipfile.ZipInfo) -> IO[bytes]:
        self._opened.add(entry.header_offset)
        if self._unchecked:  # torch.serialization.set_crc32_options(False) writes 0 for all of them
            del entry.CRC
        return self._archive.open(entry)

    def _read(self, name: str, kind: StorageType) -> bytearray:
        entry = self._archive.getinfo(name)
        values = bytearray(entry.file_size)  # held to the file's size before
        with self.open(entry) as record, memoryview(values) as rest:
            done = 0
            while piece := record.read(_PIECE):
                rest[done : done + len(piece)] = piece
                done += len(piece)
        if done != len(values):
            raise EOFError
        if self._swapped:
            swap_bytes(values, kind)
        return values

    def _byte_order(self) -> str:
        entry = self._archive.NameToInfo.get(f"{self._prefix}byteorder")
        if entry is None:
            return "little"  # as PyTorch takes it
        with self.open(entry) as record:
            order = record.read(_PIECE).decode()
            _read_out(record)
        return order


def _open(path: Path, file: io.BufferedReader) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # damaged bytes lead zipfile to whatever it stumbles over
        raise CheckpointError(
            f"{path} is a PyTorch file or another zip archive without its end: truncated, or damaged. Copy it again."
        ) from error


def _check_torch_zip(path: Path, archive: zipfile.ZipFile, size: int) -> str:
    """How its entries' names begin. CheckpointError unless torch.save() may have written it."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if other := _other_archive(names):
        raise CheckpointError(f"{path} {other}")
    unpacked = sum(entry.file_size for entry in entries)
    check_within_limit(unpacked, f"{path} unpacks to")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path} is a compressed zip archive, and PyTorch's are not: it was packed again. Unpack it, "
            "and save the state dict with torch.save()."
        )
    # An entry can claim any size; those that are stored as they are have as many bytes as the file has for them.
    if unpacked > size or any(entry.file_size != entry.compress_size for entry in entries):
        raise CheckpointError(f"{path} is damaged: its entries claim {unpacked:,} of {size:,} bytes. Copy it again.")
    return next(name for name in names if _is_content(name)).removesuffix("data.pkl")


def _is_content(name: str) -> bool:
    return name.count("/") <= 1 and name.endswith("data.pkl")


def _other_archive(names: Sequence[str]) -> str:
    """What an archive is that torch.save() has not written, and what to do; else empty."""
    if any(name.endswith(("constants.pkl", "archive_format")) for name in names):
        return (
            "is a compiled program (TorchScript or torch.export), which is code as well as weights, and nothing of it "
            "was run. Save its weights alone where you trust it: torch.save(torch.jit.load(path).state_dict(), …)."
        )
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays (.npz), as JAX models are published. Save the model from PyTorch."
    if any(name.endswith("model.weights.h5") for name in names):
        return "is a Keras model. Save the model from PyTorch."
    if not any(map(_is_content, names)):
        return (
            f"is a zip archive of {len(names)} files ({listed(names, 4)}), and no PyTorch file. Unpack it, and pass "
            "what is in it."
        )
    return ""
