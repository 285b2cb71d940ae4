"""A picture is known by its pixels; in older bundles, which hold the source file itself, by its bytes."""

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import change, told
from vit_engine.cli import main

# Written by `compare` when it still put the file in as it was: a JPEG that lies on its side and names its artist.
OLDER = Path(__file__).with_name("older_bundle")


def test_older_bundles_are_made_anew(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = told(OLDER, capsys)
    assert (code, lines[-1]) == (0, "all 7 match")


def test_an_older_bundle_knows_its_picture_by_its_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = Path(shutil.copytree(OLDER, tmp_path / "copy"))
    ve.open_image(OLDER / "picture.jpg").save(tmp_path / "same.png")
    code, lines, _ = told(copied, capsys, "--image", str(tmp_path / "same.png"))
    assert code == 1
    assert lines[0].startswith("picture: DOES NOT MATCH: its sha256 is ")


def test_the_same_pixels_in_another_file_are_the_same_picture(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(copied / "picture.png").save(tmp_path / "same.bmp")
    (copied / "picture.png").unlink()
    assert told(copied, capsys, "--image", str(tmp_path / "same.bmp"))[0] == 0


def test_one_other_pixel_is_another_picture(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = Image.open(copied / "picture.png")
    red, green, blue = picture.getpixel((3, 5))
    picture.putpixel((3, 5), (red, green, blue ^ 1))
    picture.save(copied / "picture.png")
    code, lines, _ = told(copied, capsys)
    assert (code, lines[1:]) == (1, ["1 of 1 do not match"])


def test_a_record_may_not_name_other_pixels(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(copied, "picture", "pixels_sha256", value="0" * 64)
    assert told(copied, capsys)[0] == 1
    change(copied, "picture", "pixels_sha256", value="no sum")
    code, _, err = told(copied, capsys)
    assert code == 1
    assert "pixels_sha256 of picture of run.json must be like" in err


def test_a_picture_with_metadata_is_written_without_and_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Upright, though the file lies on its side."""
    out = tmp_path / "out"
    source = OLDER / "picture.jpg"
    assert b"Somebody" in source.read_bytes()
    panes = ["--pane", "demo_vit_p8:2:1", "--pane", "demo_vit_p16:5:mean"]
    assert main(["compare", str(source), *panes, "--size", "48", "--out", str(out)]) == 0
    assert all(b"Somebody" not in path.read_bytes() for path in out.iterdir())
    with Image.open(io.BytesIO((out / "picture.png").read_bytes())) as written:
        assert (written.size, written.info) == ((50, 70), {})
    assert told(out, capsys)[0] == 0
    assert told(out, capsys, "--image", str(source))[0] == 0
