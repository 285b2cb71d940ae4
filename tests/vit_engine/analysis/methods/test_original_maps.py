"""The maps of captum, pytorch-grad-cam and LeGrad's own code, recorded, are those of the methods of the same name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.vit_engine.analysis import originals
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.run import Run
from vit_engine.image import prepare_image
from vit_engine.model import VisionTransformer
from vit_engine.trace import attend
from vit_engine.trace.targets import Target
from vit_engine.weights import load_model


def run_of(module: torch.nn.Module) -> Run:
    """On the recorded picture, whose pixels are normalised already."""
    loaded = load_model(module)
    blank = Image.new("RGB", (originals.SIDE, originals.SIDE))
    prepared = replace(prepare_image(blank, loaded.spec, size=originals.SIDE), tensor=originals.pixels()[0])
    return Run(attend(loaded, prepared, statistics="none"), loaded, prepared)


@pytest.fixture(scope="module")
def run() -> Run:
    return run_of(originals.timm_model())


def check(found: np.ndarray, name: str, tolerance: float) -> None:
    with np.load(originals.GOLDEN) as maps:
        expected = maps[name]
    message = f"{originals.GOLDEN.name}, which `{originals.COMMAND}` writes, has another map for {name}"
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=message)


@pytest.mark.parametrize(
    ("method", "layer", "name"),
    [
        ("input_gradient", -1, "input_gradient"),
        ("integrated_gradients", -1, "integrated_gradients"),
        ("grad_cam", 0, "grad_cam_0"),
        ("grad_cam", 1, "grad_cam_1"),
        ("grad_cam", -1, "grad_cam_2"),
    ],
)
def test_maps_of_captum_and_pytorch_grad_cam(method: str, layer: int, name: str, run: Run) -> None:
    options = {"steps": originals.STEPS} if method == "integrated_gradients" else {}
    found = find_method(method).attribute(run, layer=layer, target=originals.CLASS, options=options)
    check(found.map.values, name, 2e-5)


class MeanOfTokens(Target):
    """What LeGrad's code asks of a CLIP: the similarity of a text to the mean of all tokens, CLS among them."""

    name = label = "text"

    def __init__(self) -> None:
        self.projection = originals.clip_model().visual.proj.detach()

    def score(self, model: VisionTransformer, tokens: Tensor) -> Tensor:
        features = model.norm(tokens.mean(dim=1)) @ self.projection
        return functional.cosine_similarity(features, originals.text_embedding(), dim=-1)


def test_the_map_of_legrads_code() -> None:
    run = run_of(originals.clip_model())
    found = find_method("legrad").attribute(run, target=MeanOfTokens()).map.values
    check((found - found.min()) / (found.max() - found.min()), "legrad", 1e-5)
