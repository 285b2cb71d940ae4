"""A map is one float32 value a patch."""

import numpy as np
import pytest

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap

GRID = TokenGrid(1, 2, 3, 4)


@pytest.mark.parametrize("values", [np.zeros((3, 2), np.float32), np.zeros((2, 3)), np.zeros(6, np.float32)])
def test_another_shape_or_type_is_refused(values: np.ndarray) -> None:
    with pytest.raises(SpecError, match=r"float32 values of shape \(2, 3\); got float"):
        AttentionMap(values, GRID, "")
