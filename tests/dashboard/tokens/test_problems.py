"""What cannot be drawn on the page Tokens is told in its place, and the controls stay."""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import limits
from dashboard.testing import click_token
from tests.dashboard.tokens.fixtures_tokens import assert_says, drawn, keys_of, open_small_tokens


def picture(height: int, width: int, *, noise: bool = True) -> bytes:
    shape = (height, width, 3)
    pixels = np.random.default_rng(7).integers(0, 256, shape, np.uint8) if noise else np.full(shape, 90, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def with_picture(data: bytes, **link: str) -> AppTest:
    at = open_small_tokens(**link)
    at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    return at.file_uploader(key=keys.UPLOAD).set_value(("x.png", data, "image/png")).run()


def assert_controls_stay(at: AppTest) -> None:
    assert not at.exception
    there = {keys.TOKENS_VIEW, keys.FACET, keys.TOKEN_LAYER, keys.MODEL}
    assert there <= keys_of(at)


@pytest.fixture
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token of every picture is the same."""
    run = ve.features

    def constant(*args: object, **options: object) -> ve.Features:
        found = run(*args, **options)
        layers = {layer: np.full_like(values, 0.5) for layer, values in found.layers.items()}
        return ve.Features(found.spec, found.grid, found.image_sha256, found.facet, layers, found.final_norm)

    monkeypatch.setattr(ve, "features", constant)


def test_a_long_and_narrow_picture_is_drawn_and_asked() -> None:
    at = with_picture(picture(40, 400))
    assert not at.error
    assert drawn(at)["tokens"]["customdata"].shape[:2] == (6, 60)
    click_token(at, row=5, col=59)
    assert set(zip(drawn(at)["query"]["y"], drawn(at)["query"]["x"], strict=True)) == {(5, 59)}
    assert_controls_stay(at)


def test_fewer_patches_than_components_need_is_told_and_similarity_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_small_tokens(model="random_vit_tiny_p16")
    monkeypatch.setattr("vit_engine.analysis.tokens.pca.COMPONENTS", 48)
    at.selectbox(key=keys.FACET).set_value("query").run()
    (error,) = at.error
    assert "48 components need at least 49 patches" in error.value
    assert "larger size" in error.value
    assert_controls_stay(at)
    at.segmented_control(key=keys.TOKENS_VIEW).set_value("similarity").run()
    assert not at.error
    assert keys.TOKEN_MAP in keys_of(at)


@pytest.mark.usefixtures("fresh_caches", "same_everywhere")
def test_tokens_that_are_all_the_same_are_told() -> None:
    at = open_small_tokens()
    (error,) = at.error
    assert "All patches carry the same token" in error.value
    assert_controls_stay(at)
    at.segmented_control(key=keys.TOKENS_VIEW).set_value("norms").run()
    assert not at.error
    assert_says(at, "no patch is longer than 3 × the median")
    at.segmented_control(key=keys.TOKENS_VIEW).set_value("similarity").run()
    assert not at.exception


@pytest.mark.usefixtures("fresh_caches")
def test_a_picture_that_is_too_large_is_refused_and_the_sidebar_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 47)
    at = open_small_tokens(tokens="norms")
    (error,) = at.error
    assert "at most 47 patches" in error.value
    assert any(":red[" in caption.value and "47 patches" in caption.value for caption in at.sidebar.caption)
    assert_controls_stay(at)
    assert at.query_params["tokens"] == "norms"
    monkeypatch.setattr(limits, "MAX_PATCHES", 48)
    at.run()
    assert not at.error
    assert keys.TOKEN_MAP in keys_of(at)


@pytest.mark.usefixtures("fresh_caches")
def test_tokens_that_would_not_fit_what_is_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEATURE_BYTES", 1000)
    (error,) = open_small_tokens().error
    assert "tokens of" in error.value
    assert "kept here" in error.value


def test_the_sidebar_tells_what_the_facets_cost_is() -> None:
    at = open_small_tokens()
    assert any("6×8 patches of 16 px" in caption.value and "needs" in caption.value for caption in at.sidebar.caption)


def test_weights_that_are_not_here_are_offered() -> None:
    at = open_small_tokens(model="dino_vits16")
    assert keys.DOWNLOAD_MODEL in keys_of(at)
    assert_controls_stay(at)


def test_nearly_equal_similarities_are_told_to_be() -> None:
    at = with_picture(picture(96, 128, noise=False), tokens="similarity", query="0.4,0.7")
    assert_says(at, "the colours show small differences")
