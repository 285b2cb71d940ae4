"""One picture in models of other patches, heads and depths."""

import pytest

from tests.vit_engine.analysis.comparison.fixtures_analyses import Analysed, analysed
from vit_engine.weights import LoadedModel, load_model


@pytest.fixture(scope="session")
def fine() -> Analysed:
    """The demo of patch 8: 6×9 patches, 6 layers, 4 heads."""
    return analysed(load_model("demo_vit_p8", device="cpu"))


@pytest.fixture(scope="session")
def coarse() -> Analysed:
    """The demo of patch 16: 3×4 patches, 6 layers, 4 heads."""
    return analysed(load_model("demo_vit_p16", device="cpu"))


@pytest.fixture(scope="session")
def other(small: LoadedModel) -> Analysed:
    """The small model of patch 4 with registers: 13×19 patches, 2 layers, 3 heads."""
    return analysed(small)
