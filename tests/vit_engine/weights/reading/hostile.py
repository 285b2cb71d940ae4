"""Checkpoints of some kilobytes that ask for gigabytes or for minutes, by what each does."""

import json
import struct
import zipfile
from pathlib import Path

import torch

from tests.vit_engine.weights.fixtures_states import vit_state
from tests.vit_engine.weights.reading.spelling import (
    Write,
    called,
    get,
    keyed,
    legacy,
    listed,
    name,
    number,
    packed,
    put,
    storage,
    tensor,
    text,
    writing,
    zipped,
)

HUGE = 3 << 30


def holding(value: bytes) -> Write:
    return zipped(keyed([(text("model"), value)]))


def saved(change: dict[str, torch.Tensor]) -> Write:
    """A whole model but for some tensors."""
    return lambda path: torch.save(vit_state() | change, path)


def safetensors(header: bytes, data: bytes = b"") -> Write:
    return writing(struct.pack("<Q", len(header)) + header + data)


def encoded(times: int) -> bytes:
    """Bytes in hex, in hex, in hex: each time twice as many."""
    encode, value = name("_codecs", "encode"), called(name("_codecs", "encode"), text("a"), text("latin1"))
    for _ in range(times):
        value = called(encode, value, text("hex"))
    return value


def copied_sets() -> bytes:
    """A list of 20,000, and 5,000 sets of it."""
    items = listed(number(each) for each in range(20_000)) + put(0)
    made = name("builtins", "set") + put(1)
    return listed([items, made, *(get(1) + get(0) + b"\x85R" for _ in range(5000))])


def colliding() -> bytes:
    """Numbers with one hash: multiples of 2 to the 61st, less one."""
    return keyed((number(each * ((1 << 61) - 1)), b"N") for each in range(1, 20_000))


def colliding_tuples() -> bytes:
    return keyed((packed(number(each), number(each)), b"N") for each in range(20_000))


def deep_key() -> bytes:
    """Python looks at a hash of tuples in tuples with no limit to its depth, and the process ends."""
    return keyed([(DEEP, b"N")])


def doubled() -> bytes:
    """A tuple of two that are the same tuple, 60 times: nobody has ever printed it."""
    return packed(text("a"), text("b")) + b"".join(put(100 + each) + get(100 + each) + b"\x86" for each in range(60))


def run_with(**arguments: bytes) -> Write:
    """A training file whose arguments are these."""

    def write(path: Path) -> None:
        torch.save({"model": vit_state(), "args": "ARGUMENTS"}, path)
        with zipfile.ZipFile(path) as archive:
            records = {each: archive.read(each) for each in archive.namelist()}
        spelled = keyed((text(key), value) for key, value in arguments.items())
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in records.items():
                archive.writestr(each, data.replace(text("ARGUMENTS"), spelled) if each.endswith("data.pkl") else data)

    return write


DEEP = b")" + b"\x85" * 200_000  # tuples in tuples: Python hashes them with no look at their depth, and ends


def lying_record(path: Path) -> None:
    """An entry that says it has 3 GiB."""
    zipped(keyed([(text("a"), tensor(storage(HUGE // 4), [4], [1]))]))(path)
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        place = data.rindex(signature)
        struct.pack_into("<II", data, place + at, HUGE, HUGE)
    path.write_bytes(data)


def many_entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        for each in range(20_000):
            archive.writestr(f"w/data/{each:0400}", b"")


def many_names(path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{each}": entry for each in range(80_000)}).encode()
    safetensors(header)(path)


def shared(count: int) -> bytes:
    """So many tensors of one storage of four values, each of them all of it."""
    one = storage(4) + put(0)
    first = tensor(one, [4], [1])
    return keyed((text(f"t{each}"), first if not each else tensor(get(0), [4], [1])) for each in range(count))


def shared_large(path: Path) -> None:
    whole = torch.zeros(1_000_000)
    torch.save({f"t{each}": whole[each:] for each in range(1000)}, path)


FILES: dict[str, Write] = {
    "bytearray": holding(called(name("builtins", "bytearray"), number(HUGE))),
    "bytearray-python2": holding(called(name("__builtin__", "bytearray"), number(HUGE))),
    "bytearray-newobj": holding(name("builtins", "bytearray") + packed(number(HUGE)) + b"\x81"),
    "bytearray-memo": holding(listed([name("builtins", "bytearray") + put(7), called(get(7), number(HUGE))])),
    "bytearray-rebuilt": holding(
        called(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("builtins", "bytearray"),
            name("builtins", "bytearray"),
            packed(number(HUGE)),
            b"N",
        )
    ),
    "bytearray-legacy": legacy(called(name("builtins", "bytearray"), number(HUGE))),
    "tensor": holding(called(name("torch", "Tensor"), number(HUGE))),
    "float-tensor": holding(called(name("torch", "FloatTensor"), number(HUGE))),
    "untyped-storage": holding(called(name("torch.storage", "UntypedStorage"), number(HUGE))),
    "typed-storage": holding(called(name("torch.storage", "TypedStorage"), number(HUGE))),
    "numpy-void": holding(
        called(name("numpy.core.multiarray", "scalar"), called(name("numpy", "dtype"), text(f"V{HUGE // 2}")))
    ),
    "numpy-array-type": holding(
        called(name("numpy._core.multiarray", "scalar"), called(name("numpy", "dtype"), text("(1000000000,)f4")))
    ),
    "numpy-without-bytes": holding(
        called(name("numpy.core.multiarray", "scalar"), called(name("numpy", "dtype"), text("f8")))
    ),
    "encoded": holding(encoded(32)),
    "copied-sets": holding(copied_sets()),
    "quantised": holding(
        called(
            name("torch._utils", "_rebuild_qtensor"),
            storage(4),
            number(0),
            packed(number(HUGE)),
            packed(number(0)),
            packed(name("torch", "per_tensor_affine"), b"G" + struct.pack(">d", 1.0), number(0)),
            b"\x89",
            b"N",
        )
    ),
    "converted": holding(
        called(
            name("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
            tensor(storage(4), [HUGE], [0]),
            name("torch", "float64"),
            text("cpu"),
            b"\x89",
        )
    ),
    "meta": holding(
        keyed(
            [
                (
                    text("a"),
                    called(
                        name("torch._utils", "_rebuild_meta_tensor_no_storage"),
                        name("torch", "float32"),
                        packed(number(HUGE)),
                        packed(number(1)),
                        b"\x89",
                    ),
                )
            ]
        )
    ),
    "built-tensor": holding(name("torch", "Tensor") + b")\x81" + packed(storage(4), number(0), packed(number(HUGE)))),
    "beyond-storage": holding(keyed([(text("a"), tensor(storage(4), [HUGE], [1]))])),
    "beyond-counting": holding(keyed([(text("a"), tensor(storage(4), [1 << 40, 1 << 40], [0, 0]))])),
    "many-axes": holding(keyed([(text("a"), tensor(storage(4), [1] * 1000, [1] * 1000))])),
    "stride-0": saved({"head.weight": torch.zeros(1, 12).expand(30_000_000, 12)}),
    "stride-0-positions": saved({"pos_embed": torch.zeros(1).expand(1, 250_000_001, 12)}),
    "stride-0-half": saved({"norm.weight": torch.ones(1).half().expand(1 << 31)}),
    "stride-1": saved({"head.weight": torch.zeros(60_000).as_strided((30_000, 30_000), (1, 1))}),
    "shared": shared_large,
    "storage-length": zipped(keyed([(text("a"), tensor(storage(HUGE // 4), [4], [1]))])),
    "storage-length-legacy": legacy(keyed([(text("a"), tensor(storage(HUGE, "0", b"N"), [4], [1]))])),
    "storage-negative-legacy": legacy(keyed([(text("a"), tensor(storage(-1, "0", b"N"), [4], [1]))])),
    "text-length": zipped(b"X\xff\xff\xff\xff"),
    "text-length-legacy": legacy(b"X\xff\xff\xff\xff"),
    "long-length": zipped(b"\x8b\xff\xff\xff\x7f"),
    "bytes-length": zipped(b"\x8e" + struct.pack("<Q", HUGE)),
    "bytearray-length": zipped(b"\x96" + struct.pack("<Q", HUGE)),
    "frame-length": zipped(b"\x95" + struct.pack("<Q", HUGE)),
    "memo-index": zipped(b"N" + put(0xFFFFFFFF)),
    "many-sets": holding(listed(b"\x8f" for _ in range(1_000_000))),
    "deep-lists": holding(b"]" * 200_000 + b"a" * 199_999),
    "deep-marks": holding(b"(" * 200_000 + b"}"),
    "deep-key": holding(deep_key()),
    "colliding": holding(colliding()),
    "colliding-tuples": holding(colliding_tuples()),
    "deep-storage": holding(
        packed(text("storage"), name("torch", "FloatStorage"), DEEP, text("cpu"), number(4)) + b"Q"
    ),
    "deep-word": holding(packed(DEEP, name("torch", "FloatStorage"), text("0"), text("cpu"), number(4)) + b"Q"),
    "deep-encoding": holding(called(name("_codecs", "encode"), text("a"), DEEP)),
    "doubled-storage": holding(
        packed(text("storage"), name("torch", "FloatStorage"), doubled(), text("cpu"), number(4)) + b"Q"
    ),
    "doubled-device": holding(called(name("torch", "device"), doubled())),
    "doubled-bytes": holding(called(name("builtins", "bytearray"), doubled())),
    "doubled-key": holding(keyed([(doubled(), b"N")])),
    "lying-record": lying_record,
    "many-entries": many_entries,
    "many-names": many_names,
    "many-tensors": zipped(shared(20_500)),
    "many-parts": zipped(keyed((text(f"p{each}"), shared(1)) for each in range(5000))),
    "long-name": saved({"x" * 100_000: torch.ones(2)}),
    "name-of-lines": saved({"quant_state.\n" * 5000: torch.ones(2)}),
    "wrapped-name": saved({"module._orig_mod." * 5000 + "x": torch.ones(2)}),
    "many-layers": saved({f"blocks.{each}.norm1.weight": torch.ones(12) for each in range(600)}),
    "header-length": writing(struct.pack("<Q", 1 << 40) + b"{}"),
    "header-shape": safetensors(b'{"a":{"dtype":"F32","shape":[805306368],"data_offsets":[0,3221225472]}}', b"\0" * 64),
}

# Loaded as if their arguments were not there.
HARMLESS: dict[str, Write] = {
    "doubled-arguments": run_with(arch=doubled(), model=doubled(), data_dir=text("x"), gp=doubled()),
    "deep-arguments": run_with(arch=DEEP, model=text("vit_tiny_patch16_224"), data_path=text("x"), gp=DEEP),
    "deep-timm-arguments": run_with(gp=DEEP, img_size=DEEP, model_kwargs=keyed([(text("act_layer"), DEEP)])),
}
