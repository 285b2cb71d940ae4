"""A model, a grid and requests that tests of planning share."""

from typing import Any

import torch
from hypothesis import strategies as st

import vit_engine as ve

SPEC = ve.ModelSpec(
    name="prime", title="", family="", patch_size=7, dim=22, depth=5, heads=11, native_size=(21, 35), registers=2
)
GRID = ve.TokenGrid(prefix=3, rows=13, cols=29, patch_size=7)  # 380 tokens
CPU: dict[str, Any] = {"device": "cpu"}
MIB = 1 << 20

shapes = st.tuples(st.integers(1, 6000), st.integers(1, 6000)).filter(lambda shape: max(shape) <= 12 * min(shape))
options = st.fixed_dictionaries(
    {
        "layers": st.sampled_from(["all", -1, [0, 3]]),
        "statistics": st.sampled_from(["all", "entropy", "none"]),
        "dtype": st.sampled_from([torch.float32, torch.bfloat16]),
    }
)
