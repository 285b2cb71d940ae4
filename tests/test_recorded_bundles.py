"""Comparisons that were written before are reproduced, number for number.

tests/fixtures has them as `compare --zip` wrote them in version 1 of run.json, without comparison.html and
comparison.png, which nothing is read from: of a picture of 101×137 px at a short side of 96 px,

    compare picture.png --size 96 --pane demo_vit_p8:5:mean --pane demo_vit_p16:5:mean

and five panes that differ in patch size, head, query and seeded weights:

    compare picture.png --size 96 --pane demo_vit_p8:2:1 --pane demo_vit_p16:-1:max:raw:0.9,0.1
        --pane demo_vit_p16:3:min:raw:cls --pane random_vit_tiny_p16:7:2 --pane random_vit_tiny_p8:0:mean:raw:0,1
        --seed 7 --point 0.4,0.7 --reference B --keep 85 --statistic distance_px --all-layers
        --show difference --scale log --colours turbo --opacity 40 --clip 98
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vit_engine.cli import main

FIXTURES = Path(__file__).with_name("fixtures")
TWO, FIVE = FIXTURES / "bundle_two_panes.zip", FIXTURES / "bundle_five_panes.zip"


def reproduced(bundle: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and what is on stdout."""
    capsys.readouterr()
    code = main(["reproduce", str(bundle), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("bundle", "checks"), [(TWO, 15), (FIVE, 35)], ids=["two panes", "five panes"])
def test_a_bundle_matches_what_is_computed_now(bundle: Path, checks: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = reproduced(bundle, capsys)
    assert [check for check in document["checks"] if not check["matches"]] == []
    assert len(document["checks"]) >= checks  # as many as when it was written
    assert (code, document["matches"]) == (0, True)


def changed(bundle: Path, name: str, change: Callable[[bytes], bytes], path: Path) -> Path:
    """A copy of a bundle, one of its files changed."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(path, "w") as new:
        for each in old.namelist():
            new.writestr(each, change(old.read(each)) if each == name else old.read(each))
    return path


@pytest.mark.parametrize("number", [("maps", 1, "sum"), ("agreement", 0, "jsd_bits"), ("side_by_side", 0, "B")])
def test_another_number_in_the_record_is_found(
    number: tuple[str, int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(data: bytes) -> bytes:
        record = json.loads(data)
        part, row, column = number
        record["numbers"][part][row][column] += 0.01
        return json.dumps(record).encode()

    code, document = reproduced(changed(TWO, "run.json", add, tmp_path / "changed.zip"), capsys)
    assert (code, document["matches"]) == (1, False)


def test_another_number_in_a_table_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(TWO) as bundle:
        *_, last = bundle.read("heads.csv").decode().strip().rpartition(",")
    other = changed(
        TWO, "heads.csv", lambda data: data.replace(last.encode(), f"{float(last) + 0.01}".encode()), tmp_path / "c.zip"
    )
    code, document = reproduced(other, capsys)
    assert [check["what"] for check in document["checks"] if not check["matches"]] == ["heads.csv"]
    assert code == 1
