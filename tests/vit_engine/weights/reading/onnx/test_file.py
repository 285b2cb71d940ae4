"""ONNX files as they are made by others: types of values, where they are, and what else is beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.onnx.file import open_onnx
from vit_engine.weights.reading.read import read_checkpoint


def written(path: Path, *tensors: TensorProto) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = GraphProto(name="g", initializer=tensors)
    onnx.save(ModelProto(ir_version=8, graph=graph, opset_import=[helper.make_opsetid("", 17)]), path)
    return path


VALUES = [1.5, -2.0, 0.25, 3.0, 0.5, -1.0]


@pytest.mark.parametrize(
    ("kind", "dtype", "raw"),
    [
        (TensorProto.FLOAT, torch.float32, False),
        (TensorProto.FLOAT, torch.float32, True),
        (TensorProto.DOUBLE, torch.float64, False),
        (TensorProto.FLOAT16, torch.float16, False),
        (TensorProto.FLOAT16, torch.float16, True),
        (TensorProto.BFLOAT16, torch.bfloat16, False),
    ],
)
def test_values_are_read_in_every_way_to_write_them(kind: int, dtype: torch.dtype, raw: bool, tmp_path: Path) -> None:
    given = torch.tensor(VALUES, dtype=dtype).view(2, 3)
    values: bytes | Sequence[float] = given.view(torch.uint8).numpy().tobytes() if raw else VALUES
    path = written(tmp_path / "w.onnx", helper.make_tensor("a.weight", kind, [2, 3], values, raw=raw))
    assert torch.equal(open_onnx(path).tensors()["a.weight"], given)


def test_whole_numbers_keep_their_signs(tmp_path: Path) -> None:
    numbers = np.array([[-1, 2], [1 << 40, -(1 << 40)]])
    path = written(tmp_path / "w.onnx", helper.make_tensor("a", TensorProto.INT64, [2, 2], numbers.flatten()))
    assert open_onnx(path).tensors()["a"].tolist() == numbers.tolist()


def test_values_of_several_files_beside_it(tmp_path: Path) -> None:
    """Both count for its sha256, and for what it may take."""
    model = onnx.load(written(tmp_path / "made.onnx", numpy_helper.from_array(np.ones((40, 40), np.float32), "a.b")))
    onnx.save(model, tmp_path / "w.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    file = read_checkpoint(tmp_path / "w.onnx")
    assert torch.equal(file.content["a.b"], torch.ones(40, 40))
    data = tmp_path / "w.data"
    data.write_bytes(b"\0" * data.stat().st_size)
    assert read_checkpoint(tmp_path / "w.onnx").sha256 != file.sha256
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(
        CheckpointError, match=r"w\.onnx: 'a\.b' should be bytes 0 and on of w\.data, 6400 of them, and"
    ):
        read_checkpoint(tmp_path / "w.onnx")


def test_a_link_within_the_hubs_cache_is_followed(tmp_path: Path) -> None:
    made = written(tmp_path / "made.onnx", numpy_helper.from_array(np.ones((40, 40), np.float32), "a.b"))
    onnx.save(onnx.load(made), tmp_path / "w.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    folder, blobs = tmp_path / "snapshots" / "0123" / "onnx", tmp_path / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    for name in ("w.onnx", "w.data"):
        (tmp_path / name).rename(blobs / name)
        (folder / name).symlink_to(blobs / name)
    assert read_checkpoint(folder / "w.onnx").content["a.b"].shape == (40, 40)


def test_exports_are_read_where_a_folder_has_nothing_else(tmp_path: Path) -> None:
    """Under the names that the hub has, or alone; with what lies beside them, one folder above."""
    tensor = numpy_helper.from_array(np.ones((2, 2), np.float32), "a.b")
    written(tmp_path / "mine" / "onnx" / "model.onnx", tensor)
    written(tmp_path / "mine" / "onnx" / "model_fp16.onnx", tensor)
    (tmp_path / "mine" / "config.json").write_text(json.dumps({"model_type": "vit"}))
    for path in (tmp_path / "mine", tmp_path / "mine" / "onnx" / "model_fp16.onnx"):
        file = read_checkpoint(path)
        assert (file.container, file.config) == ("onnx", {"model_type": "vit"})
    assert read_checkpoint(tmp_path / "mine").name == "mine"
    written(tmp_path / "alone" / "any.onnx", tensor)
    assert read_checkpoint(tmp_path / "alone").container == "onnx"
    saved(tmp_path / "mine" / "model.safetensors", vit_state())
    assert read_checkpoint(tmp_path / "mine").container == "safetensors"


def test_without_its_parser_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "w.onnx", numpy_helper.from_array(np.ones(2, np.float32), "a.b"))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(CheckpointError, match=r"w\.onnx: reading ONNX files needs the package onnx\. Install it"):
        read_checkpoint(path)
