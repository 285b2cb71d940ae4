"""Samples, uploads and photographs are drawn; a file that is no picture is told and loses nothing."""

import io

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.samples import SAMPLES, Sample
from dashboard.testing import click_patch
from tests.dashboard.support import assert_drawn, assert_works, engine_trace, noise_png, open_small, small_trace
from vit_engine import AttentionTrace

BAD = {
    "text": b"this is no picture",
    "cut off": noise_png(50)[:2000],
    "empty": b"",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


def upload(at: AppTest, data: bytes, name: str = "mine.png") -> AppTest:
    if at.segmented_control(key=keys.SOURCE).value != "upload":
        at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    return at.file_uploader(key=keys.UPLOAD).set_value((name, data, "image/png")).run()


def upload_trace(data: bytes) -> AttentionTrace:
    return engine_trace(data, "demo_vit_p16", 96)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_sample_is_drawn(sample: Sample) -> None:
    at = open_small()
    at.pills(key=keys.SAMPLE).set_value(sample.name).run()
    assert_drawn(at, small_trace(picture=sample.name), layer=5)
    assert any(sample.title in caption.value and sample.credit in caption.value for caption in at.main.caption)


def test_an_upload_is_drawn_and_named_in_the_link() -> None:
    data = noise_png(51)
    at = upload(open_small(), data)
    trace = upload_trace(data)
    assert_drawn(at, trace, layer=5)
    assert at.query_params["picture"] == f"sha256:{trace.image_sha256}"
    assert any("mine.png" in caption.value for caption in at.main.caption)
    assert_drawn(at.run(), trace, layer=5)
    assert_drawn(click_patch(at, row=1, col=2), trace, layer=5, query=(1, 2))


def test_the_next_upload_takes_the_place_of_the_last() -> None:
    at = upload(upload(open_small(), noise_png(52)), noise_png(53))
    assert_drawn(at, upload_trace(noise_png(53)), layer=5)


def test_an_upload_is_still_there_after_a_look_at_the_samples() -> None:
    at = upload(open_small(), noise_png(54))
    at.segmented_control(key=keys.SOURCE).set_value("samples").run()
    assert_drawn(at, small_trace(), layer=5)
    at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    assert_drawn(at, upload_trace(noise_png(54)), layer=5)


def test_an_upload_that_is_removed_is_no_longer_shown() -> None:
    at = upload(open_small(), noise_png(55))
    at.file_uploader(key=keys.UPLOAD).set_value(None).run()
    assert_drawn(at, small_trace(), layer=5)
    assert at.query_params["picture"] == "scene_1"


def test_before_anything_is_uploaded_the_sample_stays() -> None:
    at = open_small()
    at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    assert_drawn(at, small_trace(), layer=5)
    assert not at.error


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_and_the_sample_stays(name: str) -> None:
    at = upload(open_small(layer="2", query="0.4,0.7"), BAD[name])
    (error,) = at.sidebar.error
    assert "picture" in error.value
    assert_drawn(at, small_trace(), layer=2, query=(2, 5))
    assert at.slider(key=keys.LAYER).set_value(3).run().exception.len == 0
    assert_drawn(at, small_trace(), layer=3, query=(2, 5))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_after_a_good_one_loses_nothing(name: str) -> None:
    at = upload(upload(open_small(), noise_png(56)), BAD[name])
    assert len(at.sidebar.error) == 1
    assert_drawn(at, upload_trace(noise_png(56)), layer=5)
    upload(at, noise_png(57))
    assert not at.sidebar.error
    assert_drawn(at, upload_trace(noise_png(57)), layer=5)


def test_a_bad_file_in_the_place_of_a_good_one_brings_the_good_one_back() -> None:
    at = upload(open_small(), noise_png(59))
    at.file_uploader(key=keys.UPLOAD).set_value(None).run()  # a browser takes the old file away first
    upload(at, b"not a picture")
    assert len(at.sidebar.error) == 1
    assert_drawn(at, upload_trace(noise_png(59)), layer=5)


def test_a_picture_too_long_for_a_map_is_told_in_place_and_others_still_work() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2600, 100)).save(buffer, "PNG")
    at = upload(open_small(), buffer.getvalue(), "long.png")
    (error,) = at.main.error
    assert "2600×100" in error.value
    assert_works(at)
    assert_drawn(upload(at, noise_png(58)), upload_trace(noise_png(58)), layer=5)
    assert not at.error


def test_a_file_name_cannot_put_markup_on_the_page() -> None:
    at = upload(open_small(), noise_png(59), "![x](http://a.example/b.png).png")
    assert not any("![x](" in caption.value for caption in at.main.caption)
    assert any("x" in caption.value and "a.example" in caption.value for caption in at.main.caption)


@pytest.mark.parametrize(("height", "width"), [(97, 200), (200, 97), (31, 31), (16, 16)])
def test_tall_wide_and_small_pictures_are_drawn(height: int, width: int) -> None:
    data = noise_png(60, height=height, width=width)
    at = upload(open_small(), data)
    trace = upload_trace(data)
    assert_drawn(at, trace, layer=5)
    last = (trace.grid.rows - 1, trace.grid.cols - 1)
    assert_drawn(click_patch(at, row=last[0], col=last[1]), trace, layer=5, query=last)


def test_a_photograph_is_drawn() -> None:
    at = open_small()
    at.segmented_control(key=keys.SOURCE).set_value("camera").run()
    assert_drawn(at, small_trace(), layer=5)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_png(61))).save(buffer, "JPEG")
    at.camera_input(key=keys.CAMERA).set_value(("photo.jpg", buffer.getvalue(), "image/jpeg")).run()
    assert_drawn(at, upload_trace(buffer.getvalue()), layer=5)
