"""Panes of tokens in a real browser: colours are seen over the picture, and one click is asked of every pane."""

import functools
import io
from urllib.parse import urlencode

import numpy as np
from PIL import Image
from playwright.sync_api import Page

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from tests.browser.server import Server
from tests.browser.support import chart, click_cell, drawn, nothing_amiss, settled
from vit_engine.analysis.tokens.layers import layers_pca

PANES = ("demo_vit_p8:2:mean:pca", "demo_vit_p8:3:mean:similarity", "demo_vit_p16:3:mean:similarity")
# The images of the chart as the browser draws them, pane by pane: how each is coded, and where it lies.
_IMAGES = """chart => Array.from(chart.querySelectorAll('.imagelayer image'), image => {
    const {left, top, width, height} = image.getBoundingClientRect();
    return [image.href.baseVal.slice(5, 15), ...[left, top, width, height].map(Math.round)];
})"""


@functools.cache
def features(model: str) -> ve.Features:
    loaded = ve.load_model(model)
    picture = ve.open_image(pictures.sample_picture("scene_1").data)
    return ve.features(loaded, ve.prepare_image(picture, loaded.spec, size=96))


def colour_at(page: Page, y: float, x: float) -> np.ndarray:
    """What is seen in the first pane at a point of the picture, in pixels of it."""
    png = chart(page, keys.COMPARISON).screenshot()
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    axis = chart(page, keys.COMPARISON).evaluate(
        "(chart, [y, x]) => { const {xaxis, yaxis} = chart._fullLayout;"
        " return [yaxis._offset + yaxis.d2p(y), xaxis._offset + xaxis.d2p(x)]; }",
        [y, x],
    )
    row, col = map(round, axis)
    return shown[row, col].astype(int)


def test_colours_of_patches_are_seen_and_a_click_is_asked_of_all_panes(page: Page, server: Server) -> None:
    link = {"picture": "scene_1", "size": "96", "opacity": "100", "pane": PANES}
    with nothing_amiss(page):
        page.goto(f"{server.url}/compare?{urlencode(link, doseq=True)}")
        settled(page)
        images = chart(page, keys.COMPARISON).evaluate(_IMAGES)
        assert sorted(image[0] for image in images) == ["image/jpeg"] * 3 + ["image/png;"]
        (colours,) = [image[1:] for image in images if image[0] == "image/png;"]
        assert colours in [image[1:] for image in images if image[0] == "image/jpeg"], "just over its picture"
        expected = layers_pca(features("demo_vit_p8"), (2,))[2].rgb
        for row, col in ((1, 2), (6, 11), (10, 4)):
            seen = colour_at(page, 8 * row + 4, 8 * col + 4)
            np.testing.assert_allclose(seen, 255 * expected[row, col], atol=3)
        click_cell(page, chart(page, keys.COMPARISON), 52, 76)  # in the first pane, of PCA
        for letter, model, query in (("B", "demo_vit_p8", (6, 9)), ("C", "demo_vit_p16", (3, 4))):
            trace = drawn(page, keys.COMPARISON, f"attention {letter}")
            assert trace is not None
            similarity = ve.similarity_map(features(model), query, layer=3).values
            np.testing.assert_allclose(trace["z"], similarity, atol=1e-5)
        assert all(drawn(page, keys.COMPARISON, f"query {letter}") for letter in "ABC")
