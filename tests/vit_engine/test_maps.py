"""A map is one float32 value a patch."""

import numpy as np
import pytest

from vit_engine.errors import SpecError
from vit_engine.maps import AttentionMap
from vit_engine.spec import TokenGrid

GRID = TokenGrid(1, 2, 3, 4)


def test_the_peak_is_the_first_of_the_largest() -> None:
    assert AttentionMap(np.float32([[0, 1, 2], [0, 3, 3]]), GRID, "").peak == (1, 1)


@pytest.mark.parametrize("values", [np.zeros((3, 2), np.float32), np.zeros((2, 3)), np.zeros(6, np.float32)])
def test_another_shape_or_type_is_refused(values: np.ndarray) -> None:
    with pytest.raises(SpecError, match=r"float32 values of shape \(2, 3\); got float"):
        AttentionMap(values, GRID, "")
