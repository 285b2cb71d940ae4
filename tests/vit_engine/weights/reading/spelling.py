"""Pickles spelled opcode by opcode (see pickletools), as no library writes them, and files around them."""

import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

Write = Callable[[Path], None]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def packed(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + packed(*arguments) + b"R"


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def listed(values: Iterable[bytes]) -> bytes:
    return b"](" + b"".join(values) + b"e"


def keyed(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def storage(count: int, key: str = "0", *more: bytes) -> bytes:
    kind = name("torch", "FloatStorage")
    return packed(text("storage"), kind, text(key), text("cpu"), number(count), *more) + b"Q"


def tensor(stored: bytes, size: Iterable[int], stride: Iterable[int]) -> bytes:
    shape, steps = packed(*map(number, size)), packed(*map(number, stride))
    hooks = called(name("collections", "OrderedDict"))
    return called(name("torch._utils", "_rebuild_tensor_v2"), stored, number(0), shape, steps, b"\x89", hooks)


def writing(content: bytes) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def zipped(value: bytes, records: dict[str, bytes] | None = None) -> Write:
    """A file as torch.save() writes it, around any pickle."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data.pkl", b"\x80\x02" + value + b".")
            archive.writestr("w/version", "3\n")
            for key, data in (records or {"0": b"\0" * 16}).items():
                archive.writestr(f"w/data/{key}", data)

    return write


def legacy(value: bytes) -> Write:
    """A file as torch.save() wrote it before 1.6, without its storages."""
    magic, system = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps({"little_endian": True}, 2)
    start = magic + pickle.dumps(1001, 2) + system
    return writing(start + b"\x80\x02" + value + b"." + pickle.dumps(["0"], 2))
