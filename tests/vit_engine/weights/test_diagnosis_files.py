"""Files that are no weights: what each is, and what to do, by what is in it and not by what it is called."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.reading.read import read_checkpoint

NAMES = ("w.pth", "w.safetensors", "model.safetensors")


def archive(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def numpy_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, kernel=np.ones(3), bias=np.ones(2))
    return buffer.getvalue()


def tape() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("vit/model.safetensors"))
    return buffer.getvalue()


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 5)).save(buffer, kind)
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
# What a file holds, and the essential words of what is said.
FILES: tuple[tuple[str, bytes, str], ...] = (
    ("nothing", b"", r"empty \(0 bytes\).* Copy it again"),
    (
        "page",
        b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
        r"web page \(HTML\): a login page .*Download it again",
    ),
    ("page after a comment", b"\n<!-- proxy -->\n<HTML><head>", r"web page \(HTML\)"),
    ("xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', r"an XML document.*Download it again"),
    ("json", b'{"error": "Repository not found"}', r"a JSON document"),
    ("json of a configuration", json.dumps({"model_type": "vit"}, indent=2).encode(), r"a JSON document.*the folder"),
    ("lfs", LFS, r"a Git LFS pointer.*git lfs pull"),
    ("text", b"Access to this model is restricted\n", r"text, beginning with 'Access to this model.*Download it again"),
    ("text with a brace in ninth place", b'message={"error": 404}', r"text, beginning with 'message="),
    ("text cut in a character", b"a lot" + "größe ".encode() * 99, r"text, beginning with 'a lotgröße"),
    ("gzip", gzip.compress(b"weights"), r"a gzip archive\. Unpack it"),
    ("tar", tape(), r"a tar archive\. Unpack it"),
    ("zip of a folder", archive(vit__model="x", vit__config="{}"), r"zip archive of 2 files \(vit/model.*Unpack it"),
    ("empty zip", b"PK\x05\x06" + b"\0" * 18, r"of a kind that is not known here"),
    ("npz", numpy_archive(), r"an archive of NumPy arrays \(\.npz\)"),
    ("keras", archive(metadata="{}", **{"model.weights.h5": "x"}), r"a Keras model"),
    ("hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 40, r"an HDF5 file, as Keras and TensorFlow"),
    ("numpy", array(), r"a single NumPy array"),
    ("flax", b"\x81\xa6params\x82\xa4head\xc0", r"a msgpack file, as Flax writes"),
    ("tflite", b"\x1c\x00\x00\x00TFL3\x14\x00", r"a TensorFlow Lite model"),
    ("gguf", b"GGUF\x03\x00\x00\x00", r"a GGUF file"),
    ("png", picture("PNG"), r"a picture \(PNG\)\. Pass it to open_image"),
    ("jpeg", picture("JPEG"), r"a picture \(JPEG\)"),
    ("pdf", b"%PDF-1.7\n", r"a PDF document"),
    ("bytes", bytes(range(1, 9)) * 9, r"of a kind that is not known here, beginning with the bytes 01 02 03"),
    ("zip without its end", b"PK\x03\x04" + b"\0" * 60, r"zip archive without its end: truncated"),
    ("pickled list", pickle.dumps([1, 2, 3], protocol=2), r"not a PyTorch (weight )?file"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("content", "message"), [each[1:] for each in FILES], ids=[each[0] for each in FILES])
def test_what_is_no_weight_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"(?s){name} is .*{message}") as refusal:
        read_checkpoint(path)
    assert "weights_only" not in str(refusal.value), "no unsafe way is suggested"


@pytest.mark.parametrize("name", ["saved_model.pb", "vit.ckpt.index", "vit.ckpt.data-00000-of-00001"])
def test_files_of_tensorflow_are_known_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\xf9\xaf" * 20)
    with pytest.raises(CheckpointError, match=r"it is a part of a TensorFlow checkpoint, by its name"):
        read_checkpoint(tmp_path / name)


def test_a_truncated_file_of_torch_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", vit_state())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"w\.pth is .* without its end: truncated, or damaged\. Copy it again"):
        load_model(path, heads=3)


def test_a_truncated_file_of_safetensors_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", vit_state())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"w\.safetensors is not a whole safetensors file: .* Copy it again"):
        load_model(path, heads=3)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_compiled_program_is_refused_with_how_to_save_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-32.pt"  # OpenAI's CLIP is published so
    torch.jit.script(torch.nn.Linear(3, 2)).save(path)
    with pytest.raises(
        CheckpointError, match=r"is a compiled program \(TorchScript.*torch\.jit\.load\(path\)\.state_dict"
    ):
        load_model(path)


def test_an_exported_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vit.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)), path)
    with pytest.raises(CheckpointError, match=r"is a compiled program \(TorchScript or torch\.export"):
        load_model(path)


def asking_for(module: str, name: str) -> Callable[[Path], None]:
    """A file that holds an object of a class elsewhere, byte by byte as torch.save() would write it."""
    opcodes = f"\x80\x02}}X\x05\x00\x00\x00modelc{module}\n{name}\n)\x81s.".encode("latin-1")

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("w/data.pkl", opcodes)
            file.writestr("w/version", "3\n")
            file.writestr("w/byteorder", "little")

    return write


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("omegaconf.dictconfig", "DictConfig", r"OmegaConf configuration.*asks for omegaconf\.dictconfig\.DictConfig"),
        (
            "torch.distributed._shard.sharded_tensor.api",
            "ShardedTensor",
            r"a shard of a distributed \(FSDP\) run.*FULL_STATE",
        ),
        (
            "torch.distributed.fsdp._flat_param",
            "FlatParameter",
            r"a shard of a distributed \(FSDP\) run.*Gather the whole model",
        ),
        (
            "timm.models.vision_transformer",
            "VisionTransformer",
            r"a whole model, pickled with its code.*Save its state_dict",
        ),
        ("my.vit", "MyModel", r"a whole model, pickled with its code"),
        ("peft.tuners.lora", "LoraConfig", r"an adapter's file.*Merge it"),
        ("lightning.pytorch.callbacks", "Timer", r"holds more than weights.*Save its state_dict\(\) alone"),
    ],
)
def test_what_a_pickle_asks_for_says_what_it_is(tmp_path: Path, module: str, name: str, message: str) -> None:
    path = tmp_path / "w.pth"
    asking_for(module, name)(path)
    with pytest.raises(CheckpointError, match=rf"w\.pth .*{message}") as refusal:
        read_checkpoint(path)
    assert f"nothing of it was run (it asks for {module}.{name})" in str(refusal.value)


def test_a_model_that_was_saved_whole_is_named(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 2), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"is a whole model, pickled with its code, and nothing of it was run"):
        load_model(tmp_path / "w.pth")
