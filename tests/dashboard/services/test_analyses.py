"""Pictures, models and traces are made once, found again by name, and never mixed up."""

import dataclasses
import hashlib
import threading

import numpy as np
import pytest

import vit_engine as ve
from dashboard.links.pictures import UPLOAD_PREFIX
from dashboard.links.selection import DEFAULT
from dashboard.samples import SAMPLES, Sample
from dashboard.services import limits, pictures
from dashboard.services.analyses import warm_up
from dashboard.services.pictures import Picture
from tests.dashboard.support import analyse, engine_trace, ignore, noise_png
from vit_engine.progress import Progress

MODEL = "demo_vit_p16"


def picture(seed: int, title: str = "noise") -> Picture:
    data = noise_png(seed)
    return Picture(np.asarray(ve.open_image(data)), hashlib.sha256(data).hexdigest(), title)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_sample_is_a_picture_file_with_its_title_and_credit(sample: Sample) -> None:
    found = pictures.sample_picture(sample.name)
    assert (found.name, found.title, found.credit) == (sample.name, sample.title, sample.credit)
    assert found.sha256 == hashlib.sha256(found.data).hexdigest()
    pixels = np.asarray(ve.open_image(found.data))
    np.testing.assert_array_equal(found.pixels, pixels)
    assert len(np.unique(pixels)) > 1
    if sample.scene:
        assert pixels.shape == (*sample.scene[1:], 3)


def test_samples_differ_in_their_pictures_and_names() -> None:
    assert len({pictures.sample_picture(sample.name).sha256 for sample in SAMPLES}) == len(SAMPLES)
    assert len({sample.name for sample in SAMPLES}) == len(SAMPLES)


def test_thumbnails_are_small_squares() -> None:
    for sample in SAMPLES:
        small = ve.open_image(pictures.thumbnail(sample.name))
        assert small.size == (96, 96)


@pytest.mark.usefixtures("fresh_caches")
def test_an_upload_is_found_by_the_sha256_of_its_bytes() -> None:
    data = noise_png(1)
    kept = pictures.keep_upload(data, ignore)
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert pictures.find_upload(kept.sha256) is kept
    assert kept.name == UPLOAD_PREFIX + kept.sha256
    np.testing.assert_array_equal(kept.pixels, np.asarray(ve.open_image(data)))
    assert kept.title == "Uploaded picture"


@pytest.mark.usefixtures("fresh_caches")
def test_what_was_never_uploaded_is_not_found() -> None:
    assert pictures.find_upload("ab" * 32) is None


@pytest.mark.parametrize("data", [b"", b"not a picture", noise_png(2)[:300]], ids=["empty", "text", "cut off"])
@pytest.mark.usefixtures("fresh_caches")
def test_a_file_that_is_no_picture_is_refused_and_not_kept(data: bytes) -> None:
    with pytest.raises(ve.ImageError):
        pictures.keep_upload(data, ignore)
    assert pictures.find_upload(hashlib.sha256(data).hexdigest()) is None


def test_an_analysis_is_what_the_engine_says() -> None:
    noise = picture(6)
    found = analyse(noise, MODEL, 96, ignore)
    expected = engine_trace(noise_png(6), MODEL, 96)
    for layer in expected.layers:
        np.testing.assert_allclose(found.trace.rows(layer), expected.rows(layer), rtol=1e-4, atol=1e-7)
    assert found.trace.image_sha256 == noise.sha256
    assert found.pixels.shape == (found.trace.grid.height, found.trace.grid.width, 3)


def test_the_same_is_analysed_once_whatever_it_is_called(runs: list[str]) -> None:
    first = analyse(picture(7, "one name"), MODEL, 96, ignore)
    assert analyse(picture(7, "another"), MODEL, 96, ignore) is first
    assert runs == [MODEL]


def test_another_model_size_or_picture_is_another_analysis(runs: list[str]) -> None:
    asked = [(8, MODEL, 96), (8, MODEL, 128), (8, "demo_vit_p8", 96), (9, MODEL, 96)]
    analyses = [analyse(picture(seed), model, size, ignore) for seed, model, size in asked]
    assert len({id(analysis) for analysis in analyses}) == 4
    assert runs == [model for _, model, _ in asked]


@pytest.mark.usefixtures("fresh_caches")
def test_traces_are_bounded_in_bytes(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    room = engine_trace(noise_png(10), MODEL, 96).nbytes
    monkeypatch.setattr(limits, "TRACE_BYTES", 2 * room)
    for seed in (10, 11, 12, 12, 11, 10):
        analyse(picture(seed), MODEL, 96, ignore)
    assert len(runs) == 4  # only the first had to go


@pytest.mark.usefixtures("fresh_caches")
def test_a_model_is_loaded_once_for_all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    load, loads = ve.load_model, []
    monkeypatch.setattr(ve, "load_model", lambda name, **options: loads.append(name) or load(name, **options))
    for seed in (13, 14):
        analyse(picture(seed), MODEL, 96, ignore)
    assert loads == [MODEL]


class Held:
    """ve.attend, held after its first report until it is told to go on."""

    def __init__(self) -> None:
        self.attend, self.calls, self.go_on = ve.attend, 0, threading.Event()

    def __call__(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, *, progress: Progress) -> ve.AttentionTrace:
        self.calls += 1
        progress(0.5, "layer 3 of 6")
        assert self.go_on.wait(30)
        return self.attend(loaded, prepared, progress=progress)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    attend = Held()
    monkeypatch.setattr(ve, "attend", attend)
    return attend


def test_a_session_sees_how_far_the_engine_is(held: Held) -> None:
    seen = []

    def progress(fraction: float, message: str) -> None:
        seen.append((fraction, message))
        if message == "attention: layer 3 of 6":
            held.go_on.set()

    analyse(picture(15), MODEL, 96, progress)
    assert (0.5, "attention: layer 3 of 6") in seen


def test_who_leaves_a_run_and_comes_back_finds_it_going_on(held: Held) -> None:
    class Stopped(BaseException):
        pass

    def stop(fraction: float, message: str) -> None:
        if held.calls:
            raise Stopped(fraction, message)

    with pytest.raises(Stopped):
        analyse(picture(16), MODEL, 96, stop)
    held.go_on.set()
    assert analyse(picture(16), MODEL, 96, ignore).trace.image_sha256 == picture(16).sha256
    assert held.calls == 1


def test_too_large_a_request_is_refused_before_it_runs(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 41)
    with pytest.raises(ve.ResourceError, match=r"42 patches.*at most 41.*smaller short side"):
        analyse(picture(18), MODEL, 96, ignore)
    monkeypatch.setattr(limits, "MAX_PATCHES", 42)
    kept = analyse(picture(18), MODEL, 96, ignore).trace.nbytes
    monkeypatch.setattr(limits, "TRACE_BYTES", kept - 1)
    with pytest.raises(ve.ResourceError, match="its trace"):
        analyse(picture(19), MODEL, 96, ignore)
    assert runs == [MODEL]


@pytest.mark.usefixtures("fresh_caches")
def test_after_the_warm_up_the_first_view_needs_no_run(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = dataclasses.replace(DEFAULT, model=MODEL, size=96)
    monkeypatch.setattr("dashboard.services.opening.selection", lambda: first)
    warm_up()
    assert runs == [MODEL]
    analyse(pictures.sample_picture(DEFAULT.picture), MODEL, 96, ignore)
    assert runs == [MODEL]


def test_a_small_analysis_runs_while_a_heavy_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    attend, started, go_on, done = ve.attend, threading.Event(), threading.Event(), threading.Event()

    def held(loaded: ve.LoadedModel, prepared: ve.PreparedImage, *, progress: Progress) -> ve.AttentionTrace:
        if prepared.grid.height == 256:
            started.set()
            assert go_on.wait(30)
        return attend(loaded, prepared, progress=progress)

    monkeypatch.setattr(ve, "attend", held)
    heavy = threading.Thread(target=lambda: done.set() if analyse(picture(31), "demo_vit_p8", 256, ignore) else None)
    heavy.start()
    try:
        assert started.wait(30)
        assert analyse(picture(32), MODEL, 96, ignore).trace.grid.height == 96
        assert not done.is_set()
    finally:
        go_on.set()
        heavy.join(30)
    assert done.is_set()
