"""Which key every query gives its largest weight: exactly, in half precision and at huge scores too."""

import math

import pytest
import torch
from torch import Tensor

from tests.vit_engine.model.streams import draw, scored, stream
from vit_engine.grid import TokenGrid


def largest_keys(q: Tensor, k: Tensor) -> Tensor:
    """Of every query the first key with the largest weight, from the whole matrix in float64."""
    return (q.double() @ k.double().mT).argmax(dim=-1)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 7), (7, 11)])
@pytest.mark.parametrize("prefix", [0, 1, 3])
@pytest.mark.parametrize("chunk_bytes", [1, 500, None])
def test_argmax_is_the_key_of_the_largest_weight(shape: tuple[int, int], prefix: int, chunk_bytes: int | None) -> None:
    grid = TokenGrid(prefix, *shape, 8)
    tensors = draw(prefix, 2, 3, grid.tokens, 5)
    q, k, v = next(tensors), next(tensors), next(tensors)
    got = stream(q, k, v, grid, scale=0.4, chunk_bytes=chunk_bytes).argmax
    assert got.dtype == torch.int64
    assert torch.equal(got, largest_keys(q, k))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_argmax_in_half_precision_is_that_of_the_widened_scores(dtype: torch.dtype) -> None:
    grid = TokenGrid(2, 5, 13, 16)
    tensors = draw(0, 1, 2, grid.tokens, 8)
    q, k, v = (next(tensors).to(dtype) for _ in range(3))
    assert torch.equal(stream(q, k, v, grid, chunk_bytes=999).argmax, largest_keys(q, k))


@pytest.mark.parametrize("spread", [10.0, 100.0])  # scores in float32, and those taken in float64
def test_argmax_of_huge_scores_is_exact_and_of_equal_ones_the_first(spread: float) -> None:
    grid = TokenGrid(3, 7, 11, 8)
    tensors = draw(0, 2, 3, grid.tokens, 2, spread=spread)
    q, k = next(tensors).round(), next(tensors).round()
    k[:, :, 42:] = k[:, :, 3:41]  # every patch key stands there twice, but the 39th
    scores = q.double() @ k.double().mT
    assert ((scores == scores.amax(dim=-1, keepdim=True)).sum(dim=-1) > 1).any()
    assert torch.equal(stream(q, k, q, grid, chunk_bytes=999).argmax, largest_keys(q, k))


@pytest.mark.parametrize(
    ("largest", "first"),
    [([0], 0), ([2], 2), ([14], 14), ([2, 14], 2), ([3, 14], 3), ([9, 10, 14], 9), ([*range(15)], 0)],
)
@pytest.mark.parametrize("chunk_bytes", [1, None])
@pytest.mark.parametrize("score", [1.0, 1e4])
def test_of_equal_keys_argmax_is_the_first(
    largest: list[int], first: int, chunk_bytes: int | None, score: float
) -> None:
    # Three prefix tokens before three rows of four patches; a small chunk has one row.
    grid = TokenGrid(3, 3, 4, 16)
    q, k = scored([score if token in largest else -score for token in range(15)])
    assert stream(q, k, k, grid, chunk_bytes=chunk_bytes).argmax.unique().tolist() == [first]


@pytest.mark.parametrize("score", [math.inf, math.nan])
@pytest.mark.parametrize("prefix", [0, 1])
def test_where_activations_overflow_argmax_is_some_token(score: float, prefix: int) -> None:
    grid = TokenGrid(prefix, 2, 3, 16)
    q, k = scored([*[0.0] * (grid.tokens - 1), score])
    got = stream(q, k, torch.ones_like(k), grid).argmax
    assert 0 <= got.min() <= got.max() < grid.tokens
