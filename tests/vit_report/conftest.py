"""What the tests of written comparisons share."""

import pytest

from tests.vit_report.made import PANES, compared, picture_bytes
from vit_engine.comparison import Comparison


@pytest.fixture(scope="session")
def picture() -> bytes:
    return picture_bytes()


@pytest.fixture(scope="session")
def comparison(picture: bytes) -> Comparison:
    """Three panes: patches of 8 and of 16 px, and random weights; the second is the reference."""
    return compared(*PANES, picture=picture, reference="B", keep=0.5)
