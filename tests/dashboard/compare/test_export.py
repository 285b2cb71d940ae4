"""What Compare hands out: the picture's pixels, nothing else that an upload says, and numbers to recompute."""

import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from dashboard.compare import export
from dashboard.testing import open_compare
from tests.dashboard.compare.fixtures_compare import P8, P16, assert_works, picture_link
from tests.dashboard.support import noise_png
from vit_engine.cli import main

SECRET = b"SECRETMAKER"


def secretive_jpeg() -> bytes:
    """It lies on its side, and says who made it."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x010F], exif[0x0112] = SECRET.decode(), 6
    Image.open(io.BytesIO(noise_png(7, height=120, width=90))).save(buffer, "JPEG", exif=exif, comment=SECRET)
    return buffer.getvalue()


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], bytes]]:
    """What the button of each run would call."""
    seen: list[Callable[[], bytes]] = []

    def watched(*args: Any, **options: Any) -> Callable[[], bytes]:
        seen.append(partial(*args, **options))
        return seen[-1]

    monkeypatch.setattr(export, "partial", watched)
    return seen


def test_an_export_holds_nothing_that_an_upload_says_of_its_owner_and_is_recomputed(
    exports: list[Callable[[], bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = secretive_jpeg()
    assert SECRET in data
    assert_works(open_compare(**picture_link(data), pane=(P8, P16)))
    path = tmp_path / "comparison.zip"
    path.write_bytes(exports[-1]())
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, content in files.items() if SECRET in content]
    np.testing.assert_array_equal(np.asarray(ve.open_image(files["picture.png"])), np.asarray(ve.open_image(data)))
    assert main(["reproduce", str(path)]) == 0
    assert "all 15 match" in capsys.readouterr().out
