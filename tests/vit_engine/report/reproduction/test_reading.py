"""Bundles of strangers: what is wrong is one sentence, nothing outside is read, nothing large is unpacked."""

import copy
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.vit_engine.report.builders import SIZE, STATISTIC
from vit_engine.analysis.comparison import Comparison, Pane
from vit_engine.errors import SpecError
from vit_engine.report.archive import as_npz, as_zip
from vit_engine.report.bundle import files
from vit_engine.report.reproduction import reading
from vit_engine.report.reproduction.reading import Bundle, read_arrays, read_table
from vit_engine.report.reproduction.recorded import heads_of, read_record, seed_of, weights_of
from vit_engine.report.style import Style

WANTED = {"A": np.zeros((2, 3), np.float32), "A_grid": np.zeros(4, np.int64)}
FOUND = {"A": np.arange(6, dtype=np.float32).reshape(2, 3), "A_grid": np.array([1, 2, 3, 8])}


@pytest.fixture(scope="module")
def run(comparison: Comparison, picture: Image.Image) -> dict[str, Any]:
    made = files(comparison, Style(), picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False)
    return json.loads(made["run.json"])


def changed(run: dict[str, Any], *path: str | int, value: Any) -> bytes:
    """run.json with one value changed; `...` takes it out."""
    whole = copy.deepcopy(run)
    part: Any = whole
    for step in path[:-1]:
        part = part[step]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(whole).encode()


def test_what_is_recorded_is_read(run: dict[str, Any]) -> None:
    found = read_record(json.dumps(run).encode())
    assert found.panes == {
        0: Pane("demo_vit_p8", 2, 1),
        1: Pane("demo_vit_p16", 5, "mean"),
        2: Pane("random_vit_tiny_p16", 3, "max"),
    }
    assert (found.size, found.frame, found.point, found.keep) == (96, (96, 136), (0.4, 0.55), 0.5)
    assert (found.reference, found.statistic, found.all_layers) == ("B", STATISTIC, False)
    assert found.agreement == run["numbers"]["agreement"]
    trained, random = (found.models[name] for name in ("demo_vit_p8", "random_vit_tiny_p16"))
    assert (heads_of(trained), seed_of(random), weights_of(random)) == (4, 0, ("", ""))
    assert weights_of(trained) == (run["models"][0]["weights"]["sha256"], "")


def test_panes_that_were_left_out_keep_their_letters_free(run: dict[str, Any]) -> None:
    panes = [run["panes"][0], {**run["panes"][1], "name": "D"}]
    assert list(read_record(changed(run, "panes", value=panes)).panes) == [0, 3]


def test_exact_sizes_and_the_cls_token_are_read(run: dict[str, Any]) -> None:
    assert read_record(changed(run, "picture", "size", value=[64, 96])).size == (64, 96)
    assert read_record(changed(run, "point", value=None)).point is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), "other", "format 'vit-comparison' version 1"),
        (("format",), None, "Only what `compare` wrote, or the page Compare exported, can be recomputed."),
        (("version",), 2, "version '2'"),
        (("picture",), ..., "picture of run.json must be an object"),
        (("picture", "file"), "../../etc/passwd", "file of picture of run.json must be like"),
        (("picture", "file"), "/etc/passwd", "file of picture of run.json must be like"),
        (("picture", "file"), "picture.png\n", "file of picture of run.json must be like"),
        (("picture", "sha256"), "abc", "sha256 of picture"),
        (("picture", "size"), True, "a whole number in 1..100000"),
        (("picture", "size"), 0, "a whole number in 1..100000"),
        (("picture", "size"), 10**400, "a whole number in 1..100000"),
        (("picture", "size"), [64], "(height, width)"),
        (("picture", "frame"), [64, 1.5], "width of frame of picture"),
        (("panes",), [], "panes of run.json must be named A..H"),
        (("panes",), {}, "panes of run.json must be a list"),
        (("panes",), [{}] * 9, "a list of at most 8"),
        (("panes", 0), "A", "panes of run.json must be an object; got str"),
        (("panes", 0, "name"), "B", "in order; got ['B', 'B', 'C']"),
        (("panes", 0, "name"), "Z", "in order"),
        (("panes", 0, "pane"), "nothing", "a pane is MODEL:LAYER"),
        (("panes", 0, "pane"), "m" * 5000, "a short text"),
        (("point",), [0.5, 1.5], "two fractions in 0..1"),
        (("point",), [0.5, "x"], "two fractions in 0..1"),
        (("point",), [0.5], "two fractions in 0..1, or four of a region"),
        (("keep",), None, "keep of run.json must be a number"),
        (("keep",), "0.6", "keep of run.json must be a number"),
        (("reference",), "AB", "reference of run.json"),
        (("statistic",), "layer", "statistic of run.json must be one of the engine's"),
        (("device",), 1, "device of run.json"),
        (("versions",), [], "versions of run.json"),
        (("models",), {}, "models of run.json"),
        (("models", 0, "model"), ..., "model of models of run.json"),
        (("numbers",), ..., "numbers of run.json"),
        (("numbers", "maps"), 3, "maps of numbers of run.json"),
        (("numbers", "maps", 0), 3, "must be an object"),
        (("numbers", "maps", 0, "sum"), [1], "rows of numbers and texts"),
        (("numbers", "maps", 0, "sum"), True, "rows of numbers and texts"),
        (("numbers", "maps", 0, "sum"), 10**400, "rows of numbers and texts"),
    ],
)
def test_a_record_that_cannot_be_is_refused(
    path: tuple[str | int, ...], value: Any, message: str, run: dict[str, Any]
) -> None:
    with pytest.raises(SpecError) as caught:
        read_record(changed(run, *path, value=value))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"{", b"[1]", b'{"keep": NaN}', b'{"keep": 1' + b"0" * 9000 + b"}", b"[" * 200_000, b"null"],
    ids=["empty", "no text", "cut off", "a list", "NaN", "a long number", "deep", "null"],
)
def test_what_is_no_json_of_a_record_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"run\.json"):
        read_record(data)


def test_what_is_no_number_of_json_is_refused_wherever_it_stands(run: dict[str, Any]) -> None:
    for value in (float("nan"), float("-inf")):
        with pytest.raises(SpecError, match="is no number of JSON"):
            read_record(changed(run, "look", "opacity", value=value))


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (heads_of, {"model": "m", "spec": {"heads": -1}}, "heads of spec of model 'm'"),
        (heads_of, {"model": "m"}, "spec of model 'm'"),
        (seed_of, {"model": "m", "seed": 2**63}, "seed of model 'm'"),
        (weights_of, {"model": "m", "weights": {"sha256": 3, "part": ""}}, "sha256 of weights"),
        (weights_of, {"model": "m", "weights": {"sha256": None}}, "part of weights"),
    ],
)
def test_a_model_that_cannot_be_is_refused(read: Callable[[dict], Any], value: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(value)


def test_a_bundle_is_a_zip_a_folder_or_its_record(tmp_path: Path) -> None:
    made = {"run.json": b"{}", "agreement.csv": b"a\n1\n"}
    archive, folder = tmp_path / "c.zip", tmp_path / "folder"
    archive.write_bytes(as_zip(made))
    folder.mkdir()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    (folder / "run.json").rename(folder / "mine.json")
    for path, record in ((archive, "run.json"), (folder, "run.json"), (folder / "mine.json", "mine.json")):
        bundle = Bundle(path)
        assert bundle.record == record
        assert bundle.read("agreement.csv") == b"a\n1\n"
        assert bundle.read("heads.csv") is None
    assert Bundle(archive).read("run.json") == Bundle(folder / "mine.json").read("mine.json") == b"{}"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"run\.json, or the zip or folder"):
        Bundle(tmp_path / "nothing")


@pytest.mark.parametrize("zipped", [True, False])
def test_files_past_their_limit_are_refused(zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reading.MAX_BYTES, ".json", 1000)
    path = tmp_path / "run.json"
    data = b" " * 1001
    path.write_bytes(as_zip({"run.json": data}) if zipped else data)
    with pytest.raises(SpecError, match="at most 1,000 bytes"):
        Bundle(path).read("run.json")
    path.write_bytes(as_zip({"run.json": data[1:]}) if zipped else data[1:])
    assert Bundle(path).read("run.json") == data[1:]


def test_of_a_large_file_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of nothing: it takes no room
    with pytest.raises(SpecError, match="at most 16,777,216 bytes"):
        Bundle(path).read("run.json")


def test_of_a_bomb_no_more_is_unpacked_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.zip"
    path.write_bytes(as_zip({"run.json": bytes(50_000_000)}))
    assert path.stat().st_size < 100_000
    taken = []
    real = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: taken.append(n) or real(self, n))
    with pytest.raises(SpecError, match="at most"):
        Bundle(path).read("run.json")
    assert taken == [reading.MAX_BYTES[".json"] + 1]


@pytest.mark.parametrize("damage", ["cut", "content", "encrypted"])
def test_a_damaged_zip_is_said(damage: str, tmp_path: Path) -> None:
    data = bytearray(as_zip({"run.json": b"{}" * 500}))
    if damage == "content":
        data[45] ^= 0xFF
    elif damage == "encrypted":
        data[6] |= 1
        place = data.index(b"PK\x01\x02")
        data[place + 8] |= 1
    else:
        del data[30:45]
    path = tmp_path / "c.zip"
    path.write_bytes(data)
    with pytest.raises(SpecError, match="cannot be read"):
        Bundle(path).read("run.json")


def test_arrays_are_read() -> None:
    found = read_arrays(as_npz(FOUND), WANTED)
    for name, array in FOUND.items():
        np.testing.assert_array_equal(found[name], array)


def npy(**changes: Any) -> bytes:
    """An array file whose header says something else."""
    said = {"descr": "<f4", "fortran_order": False, "shape": (2, 3), **changes}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, said)
    return buffer.getvalue() + bytes(24)


@pytest.mark.parametrize(
    "data",
    [
        npy(shape=(3, 2)),
        npy(shape=(10**6, 10**6)),
        npy(descr="<f8"),
        npy(descr="|O"),
        npy(fortran_order=True),
        npy()[:-4],
        npy() + bytes(4),
        npy() + bytes(100_000),
    ],
    ids=["shape", "huge", "float64", "objects", "fortran", "short", "long", "very long"],
)
def test_arrays_of_another_kind_are_none(data: bytes) -> None:
    found = read_arrays(as_zip({"A.npy": data}), WANTED)
    assert found == {"A": None, "A_grid": None}


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", as_zip({"A.npy": b"not an array"}), as_npz(FOUND)[:200]])
def test_what_is_no_zip_of_arrays_is_said(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"maps\.npz cannot be read"):
        read_arrays(data, WANTED)


class Trap:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was run",))


def test_pickles_are_not_run() -> None:
    said = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, said)
    assert read_arrays(as_zip({"A.npy": buffer.getvalue() + pickle.dumps([Trap()])}), WANTED)["A"] is None
    with pytest.raises(SpecError, match="cannot be read"):
        read_arrays(pickle.dumps(Trap()), WANTED)


def test_a_table_that_is_none_is_said() -> None:
    assert read_table(b"a,b\n1,2\n", "heads.csv").to_dict("list") == {"a": [1], "b": [2]}
    for data in (b"", b"\xff\xfe\x00", b'a\n"1\n', b"a,b\n1,2,3,4\n1\n1,2,3,4,5\n"):
        with pytest.raises(SpecError, match=r"heads\.csv is no table"):
            read_table(data, "heads.csv")
