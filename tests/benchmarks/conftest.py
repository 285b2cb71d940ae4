"""A loaded model, and results as if measured."""

import pytest
import torch

import vit_engine as ve
from benchmarks.plan import S8, S16, Job
from benchmarks.results import Results
from tests.benchmarks.support import results_of


@pytest.fixture(scope="session")
def loaded() -> ve.LoadedModel:
    """12 layers, 3 heads, dim 192, with attention that is far from uniform."""
    loaded = ve.load_model("random_vit_tiny_p16", weights="random", device="cpu")
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "qkv" in name:
                parameter.mul_(8)
    return loaded


@pytest.fixture
def results() -> Results:
    return results_of(
        (Job("limit", S8, 480), [5, 4, 9], [5, 5, 5], [100, 110, 90]),
        (Job("entropy", S8, 480), [6, 7, 5.5], [6, 6, 6], [200, 200, 200]),
        (Job("ours", S8, 480), [8, 7, 7.75], [8, 8, 8], [220, 300, 210]),
        (Job("explicit", S8, 480), [15, 14, 16], [15, 15, 15], [4000, 4100, 4200]),
        (Job("limit", S8, 480, threads=2), [5, 5, 5], [3, 2.5, 2], [1, 1, 1]),
        (Job("entropy", S8, 480, threads=2), [6, 6, 6], [3.5, 3.5, 4], [1, 1, 1]),
        (Job("click", S8, 480), [0.1, 0.1, 0.1], [0.012, 0.0125, 0.05], [0, 0, 0]),
        (Job("limit", S16, 224, pictures=8), [2], [2], [80]),
        (Job("ours", S16, 224, pictures=8), [3], [3], [60]),
        (Job("limit", S8, 224), [1], [1], [20]),
        (Job("ours", S8, 800), [70], [70], [1500]),
    )
