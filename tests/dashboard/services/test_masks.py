"""An object on the pixels of an analysis: a box, a scene's own objects, an uploaded mask."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from dashboard.links.worth import SCENE
from dashboard.services import limits, pictures
from dashboard.services.analyses import Analysis, Request
from dashboard.services.masks import object_mask
from tests.dashboard.support import ignore, noise_png, request
from vit_engine.demo.scenes import draw_scene


def analysed(picture: str = "scene_1") -> tuple[Request, Analysis]:
    asked = request(pictures.sample_picture(picture), "demo_vit_p16", 96)
    return asked, asked.analyse(ignore)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_box_is_brought_from_the_scaled_picture_to_its_patches() -> None:
    asked, analysis = analysed()
    cut = replace(analysis, frame=(120, 160))  # of which 96×128 px are patches
    assert object_mask((0.4, 0.1, 0.6, 0.9), asked, cut) == pytest.approx((0.5, 0.125, 0.75, 1.0))
    with pytest.raises(ve.SpecError, match="the strip that is cut off"):
        object_mask((0.85, 0.1, 0.95, 0.5), asked, cut)


def test_a_scene_has_its_own_objects_and_a_photograph_none() -> None:
    asked, analysis = analysed()
    mask = object_mask(SCENE, asked, analysis)
    objects = draw_scene(25, (320, 448)).objects
    np.testing.assert_array_equal(mask, ve.fit_mask(objects, asked.spec, size=96))
    with pytest.raises(ve.SpecError, match="only generated scenes"):
        object_mask(SCENE, *analysed("coffee"))


@pytest.mark.usefixtures("fresh_caches")
def test_an_uploaded_mask_keeps_small_labels_and_is_fitted_to_the_picture() -> None:
    asked, analysis = analysed()
    labels = np.zeros((320, 448), dtype=np.uint16)
    labels[:160, 224:] = 1
    labels[-1, -1] = 60_000
    held = pictures.keep_mask(png(labels), ignore)
    assert held.pixels.sum() == 160 * 224 + 1
    mask = object_mask(held.name, asked, analysis)
    assert isinstance(mask, np.ndarray)
    assert mask[:40, 68:].all()
    assert mask.mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.usefixtures("fresh_caches")
def test_a_mask_of_another_size_and_one_that_is_gone_are_refused() -> None:
    asked, analysis = analysed()
    held = pictures.keep_mask(noise_png(7, height=50, width=60), ignore)
    with pytest.raises(ve.ImageError, match=r"320×448 px .*96×128 px; this one has 50×60 px"):
        object_mask(held.name, asked, analysis)
    with pytest.raises(ve.ImageError, match="no longer held here"):
        object_mask("sha256:" + "0" * 64, asked, analysis)
    with pytest.raises(ve.ImageError, match="not a picture"):
        pictures.keep_mask(b"no picture", ignore)


@pytest.mark.usefixtures("fresh_caches")
def test_a_large_mask_is_reduced_as_its_picture_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_PIXELS", 2000)
    pixels = np.zeros((90, 120), dtype=np.uint8)
    pixels[:, :60] = 1
    mask, picture = pictures.keep_mask(png(pixels), ignore), pictures.keep_upload(png(pixels), ignore)
    assert mask.pixels.shape == picture.shape
    assert mask.pixels.mean() == pytest.approx(0.5, abs=0.03)
    assert not mask.pixels[:, -20:].any()
