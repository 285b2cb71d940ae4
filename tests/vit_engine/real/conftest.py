"""Models of 22 million weights, each loaded once for all tests of this folder: none changes them."""

from collections.abc import Callable
from functools import cache, partial

import pytest

import vit_engine as ve

Load = Callable[[str], ve.LoadedModel]


@pytest.fixture(scope="package")
def load() -> Load:
    """A model by name; the first test that needs the real one has `real_weights` say where its file is."""
    return cache(partial(ve.load_model, device="cpu"))
