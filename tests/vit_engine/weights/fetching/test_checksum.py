"""A weight file has the sha256 of the registry, of its name, or of the day it came."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from vit_engine.errors import CheckpointError
from vit_engine.spec import Weights
from vit_engine.weights.fetching.checksum import expected_sha256, file_sha256, record_sha256, verify

ROW, RECORDED, OTHER = "a" * 64, "b" * 64, "c" * 64


def test_the_registry_goes_before_the_name_and_the_name_before_the_record(tmp_path: Path) -> None:
    path = tmp_path / "vit_b_16-c867db91.pth"
    record_sha256(path, RECORDED)
    found = [expected_sha256(path, Weights(url="u", sha256=ROW)), expected_sha256(path, Weights(url="u"))]
    path = tmp_path / "vit.pth"
    record_sha256(path, RECORDED)
    found.append(expected_sha256(path, Weights(url="u")))
    assert [each.sha256 for each in found if each] == [ROW, "c867db91", RECORDED]
    assert expected_sha256(tmp_path / "new.pth", Weights(url="u")) is None


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("dinov3_vits16_pretrain_lvd1689m-08c60483.pth", "08c60483"),
        (f"w-{ROW}.safetensors", ROW),
        ("w-c867db9.pth", None),  # seven digits
        ("w-c867db9g.pth", None),  # g is none
        ("w_c867db91.pth", None),
        ("w-c867db91-b.pth", None),
        (f"w-{ROW}a.pth", None),
    ],
)
def test_digits_in_a_name(name: str, digits: str | None) -> None:
    expected = expected_sha256(Path("nowhere") / name, Weights(url="u"))
    assert (expected and expected.sha256) == digits


@pytest.mark.parametrize(
    ("name", "weights", "source", "remedy"),
    [
        (
            "w.pth",
            Weights(url="u", sha256=ROW),
            f"{ROW}, as the registry says",
            "Delete the file, and it is downloaded",
        ),
        ("w.pth", Weights(packaged="w.pth", sha256=ROW), f"{ROW}, as the registry says", "Install again."),
        ("w-c867db91.pth", Weights(url="u"), "c867db91, as its name says", "Delete the file, and it is downloaded"),
        (
            "w.pth",
            Weights(url="u"),
            f"{RECORDED}, as recorded in",
            "if the change is meant, delete w.pth.sha256 as well.",
        ),
    ],
)
def test_a_changed_file_is_refused(tmp_path: Path, name: str, weights: Weights, source: str, remedy: str) -> None:
    path = tmp_path / name
    record_sha256(tmp_path / "w.pth", RECORDED)
    with pytest.raises(CheckpointError) as error:
        verify(path, weights, OTHER)
    message = str(error.value)
    assert message.startswith(f"{path} has sha256 {OTHER}; expected {source}")
    assert remedy in message


def test_the_right_file_is_let_through(tmp_path: Path) -> None:
    verify(tmp_path / "w.pth", Weights(url="u", sha256=ROW.upper()), ROW)
    verify(tmp_path / "w-aaaaaaaa.pth", Weights(url="u"), ROW)
    assert list(tmp_path.iterdir()) == [], "nothing to record where it is known"


def test_a_file_put_there_by_hand_is_held_to_its_first_sha256(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    verify(path, Weights(url="u"), RECORDED)
    verify(path, Weights(url="u"), RECORDED)
    with pytest.raises(CheckpointError, match="as recorded in"):
        verify(path, Weights(url="u"), OTHER)


def test_a_folder_that_cannot_be_written_keeps_no_record_and_does_not_matter(tmp_path: Path) -> None:
    verify(tmp_path / "missing" / "w.pth", Weights(url="u"), RECORDED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "oops  w.pth\n", f"{ROW}a  w.pth\n"])
def test_a_record_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.pth.sha256").write_text(text)
    with pytest.raises(CheckpointError, match=r"must begin with the 64 hex digits of a sha256; got .* Delete it"):
        verify(tmp_path / "w.pth", Weights(url="u"), RECORDED)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_the_record(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"weights")
    record_sha256(path, file_sha256(path))
    command = ["sha256sum", "--check", "--strict", "w.pth.sha256"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout == b"w.pth: OK\n"


def test_a_files_sha256_is_that_of_all_its_pieces(tmp_path: Path) -> None:
    body = bytes(range(256)) * 5000  # 1.28 MB: two pieces
    path = tmp_path / "w.pth"
    path.write_bytes(body)
    told: list[tuple[float, str]] = []
    assert file_sha256(path, progress=lambda *step: told.append(step)) == hashlib.sha256(body).hexdigest()
    assert told == [((1 << 20) / len(body), "checking w.pth"), (1.0, "checking w.pth")]
