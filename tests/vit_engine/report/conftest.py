"""What the tests of written comparisons share."""

import pytest
from PIL import Image

from tests.vit_engine.report.builders import PANES, a_picture, compared
from vit_engine.analysis.comparison import Comparison


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    return a_picture()


@pytest.fixture(scope="session")
def comparison(picture: Image.Image) -> Comparison:
    """Three panes: patches of 8 and of 16 px, and random weights; the second is the reference."""
    return compared(*PANES, picture=picture, reference="B", keep=0.5)
