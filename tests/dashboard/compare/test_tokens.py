"""Panes of tokens on Compare: drawn as the engine says, run once for all panes, and told where they cannot be."""

import functools
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import limits
from dashboard.testing import click_pane
from tests.dashboard.compare.fixtures_compare import (
    P8,
    PICTURE,
    SIZE,
    assert_marked,
    assert_works,
    engine_map,
    figure_of,
    opened,
    press,
)
from tests.dashboard.support import DETAILS
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.trace import features  # by itself: tests count the calls of ve.features

S8, S16 = "demo_vit_p8:3:mean:similarity", "demo_vit_p16:3:mean:similarity"
PCA2, PCA5 = "demo_vit_p8:2:mean:pca", "demo_vit_p8:5:mean:pca"


@functools.cache
def engine_features(model: str) -> ve.Features:
    loaded = ve.load_model(model)
    return features(loaded, ve.prepare_image(ve.open_image(PICTURE), loaded.spec, size=SIZE))


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The model's name for each run for its tokens since the test began."""
    seen = []

    def counting(loaded: ve.LoadedModel, *args: Any, **options: Any) -> ve.Features:
        seen.append(loaded.spec.name)
        return features(loaded, *args, **options)

    monkeypatch.setattr(ve, "features", counting)
    return seen


def captions(at: AppTest) -> str:
    return "\n".join(caption.value for caption in at.caption)


def assert_similar(at: AppTest, letter: str, model: str, query: str | tuple[int, int], *, patch: int) -> None:
    drawn = figure_of(at)
    expected = ve.similarity_map(engine_features(model), query, layer=3).values
    np.testing.assert_allclose(drawn[f"attention {letter}"]["z"], expected, atol=1e-5)
    assert_marked(drawn, letter, query, patch=patch)


def test_a_click_is_asked_of_every_pane_in_its_own_patches() -> None:
    at = opened(S8, S16)
    for letter, model, patch in (("A", "demo_vit_p8", 8), ("B", "demo_vit_p16", 16)):
        assert_similar(at, letter, model, "cls", patch=patch)
    click_pane(at, y=43, x=75)
    assert_works(at)
    assert_similar(at, "A", "demo_vit_p8", (5, 9), patch=8)
    assert_similar(at, "B", "demo_vit_p16", (2, 4), patch=16)
    both = [figure_of(at)[f"attention {letter}"] for letter in "AB"]
    assert len({(trace["zmin"], trace["zmax"]) for trace in both}) == 1, "similarities share a scale"
    assert all("cosine similarity %{customdata:.3f}" in trace["hovertemplate"] for trace in both)
    values = ve.similarity_map(engine_features("demo_vit_p8"), (5, 9), layer=3).values
    largest = np.delete(values.ravel(), 5 * 15 + 9).max()
    words = f"**Token similarity** · mean cosine {values.mean():.2f} · largest {largest:.2f} elsewhere".replace(
        "-", "−"
    )
    assert words.replace("-", "−") in captions(at)


@pytest.mark.usefixtures("fresh_caches")
def test_layers_by_pca_share_their_axes_and_one_run(carried: list[str], runs: list[str]) -> None:
    at = opened(PCA2, PCA5, P8)
    expected = layers_pca(engine_features("demo_vit_p8"), (2, 5))
    drawn, images = figure_of(at), figure_of(at)["layout"]["images"]
    assert len(images) == 5, "a picture a pane, and colours over two"
    for letter, layer in (("A", 2), ("B", 5)):
        np.testing.assert_allclose(drawn[f"attention {letter}"]["customdata"], expected[layer].components[0], atol=1e-4)
        share = f"three shared components explain {sum(expected[layer].explained):.0%}"
        assert f"**PCA of tokens** · {share}" in captions(at)
    np.testing.assert_allclose(drawn["attention C"]["z"], engine_map(P8), **DETAILS)
    at.slider(key=of_pane(keys.PANE_LAYER, 0)).set_value(4).run()
    click_pane(at, y=40, x=40)
    assert_works(at)
    assert carried == runs == ["demo_vit_p8"], "another layer or query runs nothing"


def test_agreement_has_numbers_where_maps_compare_and_says_why_not() -> None:
    at = opened(S8, S16, P8, PCA5)
    shown = at.dataframe(key=keys.AGREEMENT).value
    assert shown["second"].tolist()[:2] == ["B · token similarity", "C · raw attention"]
    letters = [shown.pop(side).str[0] for side in ("first", "second")]
    frame = shown.set_index(letters)
    first, second = (ve.similarity_map(engine_features(f"demo_vit_p{patch}"), "cls", layer=3) for patch in (8, 16))
    assert frame.loc[("A", "B"), "pearson"] == pytest.approx(ve.agreement(first, second).pearson, abs=1e-4)
    assert np.isfinite(frame.loc[("A", "C"), "spearman"])
    assert frame[["jsd_bits", "iou", "shift_px"]].isna().all(axis=None)
    assert frame.loc[("A", "D")].isna().all()
    assert "a similarity has no mass" in captions(at)
    assert "principal components are shown as colours" in captions(at)


def test_a_pane_becomes_one_of_tokens_by_its_menu_and_its_link_says_so() -> None:
    at = opened(P8, "demo_vit_p16:5:mean")
    options = at.selectbox(key=of_pane(keys.PANE_METHOD, 0)).options
    assert options == [method.title for method in (*METHODS, *TOKEN_METHODS)]
    at.selectbox(key=of_pane(keys.PANE_METHOD, 0)).set_value("similarity").run()
    assert_works(at)
    assert at.query_params["pane"] == ["demo_vit_p8:5:mean:similarity", "demo_vit_p16:5:mean"]
    assert of_pane(keys.PANE_HEAD, 0) not in [each.key for each in at.selectbox]
    assert not at.selectbox(key=of_pane(keys.PANE_HEAD, 1)).disabled
    assert "cosine similarity" in figure_of(at)["attention A"]["hovertemplate"]


def test_differences_and_masks_leave_tokens_as_they_are_and_say_so() -> None:
    at = opened(P8, S8, PCA5, show="difference")
    assert "No difference to A: cosine similarity and attention weight are different quantities" in captions(at)
    assert "No difference to A: principal components are shown as colours" in captions(at)
    assert_similar(at, "B", "demo_vit_p8", "cls", patch=8)
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("mask").run()
    assert "No mask: similarities have no mass" in captions(at)
    assert {"outline A"} == {name for name in figure_of(at) if name.startswith("outline")}


def test_the_preset_shows_tokens_by_layer() -> None:
    at = press(opened(P8, P8), f"{keys.PRESET}_tokens")
    assert_works(at)
    assert at.query_params["pane"] == [f"demo_vit_p8:{layer}:mean:pca" for layer in (0, 2, 3, 5)]
    assert not at.error
    assert any("click a patch to find it in all panes" in markdown.value for markdown in at.markdown)


@pytest.mark.usefixtures("fresh_caches")
def test_tokens_that_do_not_fit_are_told_in_their_pane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FEATURE_BYTES", 1000)
    at = opened(P8, S8)
    assert [error.value.split(" of ")[0] for error in at.error] == ["Too large: its tokens"]
    assert {"attention A"} == {name for name in figure_of(at) if name.startswith("attention")}


@pytest.mark.usefixtures("fresh_caches")
def test_a_failure_of_tokens_is_told_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> None:
    failing = [True]

    def failed(*args: Any, **options: Any) -> ve.Features:
        if failing:
            raise ve.ResourceError("not enough memory for tokens.")
        return features(*args, **options)

    monkeypatch.setattr(ve, "features", failed)
    at = opened(P8, S8)
    assert [error.value for error in at.error] == ["Not enough memory for tokens."]
    assert "attention A" in figure_of(at), "attention of the same model is drawn"
    failing.clear()
    press(at, keys.PANE_RETRY, 1)
    assert not at.error
    assert_similar(at, "B", "demo_vit_p8", "cls", patch=8)
    assert runs == ["demo_vit_p8"]


@pytest.mark.usefixtures("fresh_caches")
def test_tokens_that_are_all_the_same_are_told_in_their_pane_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def constant(*args: Any, **options: Any) -> ve.Features:
        real = features(*args, **options)
        layers = {layer: np.ones_like(values) for layer, values in real.layers.items()}
        return ve.Features(real.spec, real.grid, real.image_sha256, real.facet, layers, real.final_norm)

    monkeypatch.setattr(ve, "features", constant)
    at = opened(P8, PCA5)
    assert len(at.error) == 1
    assert at.error[0].value.startswith("All patches carry the same token")
    assert "no map B" in figure_of(at)
    np.testing.assert_allclose(figure_of(at)["attention A"]["z"], engine_map(P8), **DETAILS)
