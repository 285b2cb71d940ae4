"""A method of a map of its arguments, that no other part of the engine knows."""

import numpy as np

from vit_engine.analysis.methods import Method
from vit_engine.analysis.run import Run
from vit_engine.grid import Query


def count(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """A map of the arguments for each head."""
    maps = np.arange(run.trace.spec.heads, dtype=np.float32)[:, None, None] + np.zeros(run.trace.grid.shape, np.float32)
    maps[:, 0, 0] = 100 * layer + len(str(query))
    return maps


COUNTED = Method("count_2", "Counted", "Counts.", "nowhere", "a number", count, unit="things")
