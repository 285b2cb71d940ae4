"""What the suites of the page Tokens share: opening it, and what the engine says."""

import functools
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from dashboard.testing import decode_figure, open_tokens
from tests.dashboard.support import SMALL
from vit_engine.trace import features  # by itself: tests count the calls of ve.features

TOKENS, EXPLORE = "views/tokens.py", "views/explore.py"
LAST = 5  # layer of the demo models
CLOSE = {"rtol": 2e-3, "atol": 2e-3}  # between two runs of a model, kept in float16


def open_small_tokens(**link: str) -> AppTest:
    """The page on a small view, but for what the link says."""
    return open_tokens(**SMALL | link)


@functools.cache
def engine_features(
    facet: str = "token", *, picture: str = SMALL["picture"], model: str = SMALL["model"], size: int = 96
) -> ve.Features:
    """What the engine says about a sample, not through the dashboard."""
    loaded = ve.load_model(model)
    image = ve.open_image(pictures.sample_picture(picture).data)
    return features(loaded, ve.prepare_image(image, loaded.spec, size=size), facet=facet)


def drawn(at: AppTest) -> dict[str, dict[str, Any]]:
    return decode_figure(at, keys.TOKEN_MAP)


def components(at: AppTest) -> np.ndarray:
    """(3, rows, cols), as hover tells them over the map of colours."""
    return drawn(at)["tokens"]["customdata"].transpose(2, 0, 1)


def texts(at: AppTest) -> list[str]:
    return [element.value for element in (*at.main.markdown, *at.main.caption)]


def assert_says(at: AppTest, words: str) -> None:
    assert any(words in text for text in texts(at)), texts(at)


def keys_of(at: AppTest) -> set[str]:
    return {element.key for element in (*at.main, *at.sidebar) if getattr(element, "key", None)}
