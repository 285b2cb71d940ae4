"""What the commands' tests share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.vit_engine.cli.fixtures_features import features_of, save

__all__ = ["features_of", "picture", "save"]


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50×70 pixels of noise."""
    path = tmp_path_factory.mktemp("picture") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(path)
    return path
