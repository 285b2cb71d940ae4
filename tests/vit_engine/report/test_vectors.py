"""PDF and SVG for papers: vectors, maps of one pixel a patch, and the same bytes each time."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.vit_engine.report.builders import SMALL, panel
from vit_engine.report.panels import Panel
from vit_engine.report.sheets import comparison_sheet

ROOT = Path(__file__).parents[3]
KINDS = ("png", "pdf", "svg")
OUTLINE = np.array([[2.0, 2.0], [2.0, 12.0], [8.0, 12.0], [8.0, 2.0], [2.0, 2.0]], dtype=np.float32)
HOSTILE = r"--></svg><script>alert(1)</script> $\frac$ &amp;"  # the last but one is no formula that can be read
SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> list[Panel]:
    return [panel(outlines=(OUTLINE,)), panel(name="B", title=HOSTILE, patch=(1, 1)), Panel("C", "", message=HOSTILE)]


def painted() -> dict[str, bytes]:
    return comparison_sheet(drawn(), frame=SMALL, opacity=0.6, caption="caption", kinds=KINDS)


def digests() -> list[str]:
    return [hashlib.sha256(data).hexdigest() for data in painted().values()]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return painted()


def svg_images(svg: bytes) -> list[np.ndarray]:
    """The images in an SVG, in order."""
    address = "{http://www.w3.org/1999/xlink}href"
    found = [image.get(address) for image in ElementTree.fromstring(svg).iter(f"{SVG}image")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2])))) for each in found]


def test_maps_in_an_svg_are_images_of_one_pixel_a_patch_that_are_not_smoothed(files: dict[str, bytes]) -> None:
    images = svg_images(files["svg"])
    assert [image.shape[:2] for image in images] == [(10, 15), (2, 3), (10, 15), (2, 3), (1, 256)]
    covered = [[153, 153, 153], [115, 76, 0]]  # 0.6 of 255; less where the scale's colour is clear itself, none for NaN
    np.testing.assert_array_equal(images[1][..., 3], covered)
    np.testing.assert_allclose(images[1][0, :, :3], [[0, 0, 0], [50, 0, 100], [100, 0, 200]], atol=1)
    assert files["svg"].count(b"image-rendering:pixelated") == len(images)


def test_text_and_marks_in_an_svg_are_paths_within_the_panes(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["svg"])
    assert {part.tag.removeprefix(SVG) for part in root.iter()} >= {"path", "use", "clipPath"}
    assert not [part for part in root.iter() if part.tag.removeprefix(SVG) in {"text", "script"}]
    lines = [part for part in root.iter(f"{SVG}path") if "stroke: #111111" in part.get("style", "")]
    assert len(lines) == 2  # an outline, and the ring of the query
    clips = {f"url(#{clip.get('id')})": clip[0].get("width") for clip in root.iter(f"{SVG}clipPath")}
    assert [clips[part.get("clip-path", "")] for part in lines] == [str(720 * 72 / 256)] * 2  # a pane, in points


def test_a_pdf_has_its_text_as_truetype_and_its_maps_as_they_are(files: dict[str, bytes]) -> None:
    pdf = files["pdf"]
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    sizes = re.findall(rb"/Width (\d+) /Height (\d+)", pdf)
    assert sizes.count((b"3", b"2")) == 4  # two maps, and what each covers
    assert b"/Interpolate true" not in pdf
    page = zlib.decompress(pdf.partition(b"stream\n")[2])
    assert len(re.findall(rb"\sT[Jj]\s", page)) >= 8  # lines of text


def test_files_say_nothing_of_when_and_by_whom(files: dict[str, bytes]) -> None:
    for data in (files["pdf"], files["svg"]):
        assert not re.search(rb"CreationDate|ModDate|dc:date|/Author", data)


def test_the_same_sheet_is_the_same_file_in_another_process() -> None:
    """Where sets and dictionaries of texts have another order."""
    code = "from tests.vit_engine.report.test_vectors import digests; print(*digests())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1000000000"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == digests()


def test_the_users_settings_of_matplotlib_change_nothing_and_stay(files: dict[str, bytes]) -> None:
    theirs = {"path.sketch": (1, 100, 2), "svg.fonttype": "none", "pdf.compression": 0, "lines.antialiased": False}
    with matplotlib.rc_context(theirs):
        assert painted() == files
        assert {name: matplotlib.rcParams[name] for name in theirs} == theirs


def test_threads_do_not_disturb_one_another(files: dict[str, bytes]) -> None:
    before = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as pool:
        assert all(each == files for each in pool.map(lambda _: painted(), range(6)))
    assert dict(matplotlib.rcParams) == before
