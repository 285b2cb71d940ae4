"""A trace is copied, pickled and compared as a whole."""

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


def test_traces_are_compared_by_identity(trace: AttentionTrace) -> None:
    other = copy.deepcopy(trace)
    assert trace != other
    assert len({trace, other, trace, trace.layers[0], other.layers[0]}) == 4


def test_a_trace_is_pickled_in_little_more_than_what_it_keeps(trace: AttentionTrace) -> None:
    overhead = len(pickle.dumps(dataclasses.replace(trace, layers={}, head_statistics=None)))
    one = dataclasses.replace(trace, layers={1: trace.layers[1]}, head_statistics=None)
    for kept in (dataclasses.replace(trace, head_statistics=None), one):
        # Each tensor takes some 400 bytes more.
        assert kept.nbytes < len(pickle.dumps(kept)) < 1.5 * kept.nbytes + overhead


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda trace: pickle.loads(pickle.dumps(trace))])  # noqa: S301
def test_a_trace_can_be_copied_and_pickled(trace: AttentionTrace, copied: Any) -> None:
    other = copied(trace)
    assert list(other.layers) == list(trace.layers)
    np.testing.assert_array_equal(other.rows(1, (2, 3)), trace.rows(1, (2, 3)))
    with pytest.raises(TypeError):
        other.layers[5] = other.layers[0]
