"""Files by name, written in one way."""

import io
from pathlib import Path

import numpy as np

from vit_engine.report.archive import as_npz, as_zip, write_bundle


def test_a_zip_does_not_depend_on_the_order_of_its_files() -> None:
    assert as_zip({"b": b"2", "a": b"1"}) == as_zip({"a": b"1", "b": b"2"})


def test_a_folder_has_the_same_files(tmp_path: Path) -> None:
    contents = {"run.json": b"{}", "maps.npz": b"\0\1"}
    write_bundle(tmp_path, contents)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_arrays_come_back_by_name() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    with np.load(io.BytesIO(as_npz({"A": values, "A_grid": np.array([1, 2])}))) as arrays:
        assert sorted(arrays) == ["A", "A_grid"]
        np.testing.assert_array_equal(arrays["A"], values)
        assert arrays["A"].dtype == np.float32
