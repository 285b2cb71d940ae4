"""Chunks of attention weights are parts of the whole softmax, each once, of scores of any size."""

import math

import pytest
import torch
from torch import Tensor

from tests.vit_engine.model.streams import draw
from vit_engine.model import weights as weights_module
from vit_engine.model.streaming import explicit_weights
from vit_engine.model.weights import AttentionWeights, are_coarse

SCALE = 0.5


def attention(spread: float = 1.0, tokens: int = 37) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, log-normalisers of float32 scores, and the exact weights."""
    drawn = draw(0, 3, tokens, 4, spread=spread)
    q, k = next(drawn), next(drawn)
    exact = explicit_weights(q.double(), k.double(), scale=SCALE)
    return q, k, (SCALE * q @ k.mT).logsumexp(dim=-1), exact


def whole(weights: AttentionWeights, shape: torch.Size) -> Tensor:
    matrix = torch.zeros(shape, dtype=torch.float64)
    for chunk in weights.chunks():
        matrix[chunk.heads, chunk.queries, chunk.keys] += chunk.weights
    return matrix


@pytest.mark.parametrize("cells", [1, 7, 60, 10_000])
def test_chunks_make_up_the_matrix(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "chunk_bytes", lambda device: 4 * cells)
    q, k, log_normalisers, exact = attention()
    found = AttentionWeights(q, k, log_normalisers, scale=SCALE)
    assert found.dtype == torch.float32
    assert all(chunk.weights.numel() <= max(cells, 4) for chunk in found.chunks())
    torch.testing.assert_close(whole(found, exact.shape), exact, rtol=1e-5, atol=1e-9)


def test_chunks_and_rows_of_some_queries() -> None:
    q, k, log_normalisers, exact = attention()
    rows = torch.tensor([0, 5, 36])
    found = AttentionWeights(q, k, log_normalisers, scale=SCALE, rows=rows)
    torch.testing.assert_close(whole(found, exact[:, rows].shape), exact[:, rows], rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found.rows(2, slice(1, 3)).double(), exact[2, rows[1:]], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rows", [None, torch.tensor([3, 4])])
def test_scores_too_large_for_float32_are_taken_in_float64(rows: Tensor | None) -> None:
    q, k, log_normalisers, _ = attention(spread=100.0)
    k[:, 1:] = k[:, :1] + k[:, 1:] * 1e-5  # close to each other: their scores differ by less than float32 can tell
    exact = explicit_weights(q.double(), k.double(), scale=SCALE)
    coarse = explicit_weights(q, k, scale=SCALE).double()
    assert (coarse / exact - 1).abs().max() > 1e-4
    found = AttentionWeights(q, k, log_normalisers, scale=SCALE, rows=rows)
    assert found.dtype == torch.float64
    expected = exact if rows is None else exact[:, rows]
    torch.testing.assert_close(whole(found, expected.shape), expected, rtol=1e-9, atol=1e-300)


def test_scores_are_coarse_by_the_largest_there_is_not_by_its_bound() -> None:
    across, along = torch.tensor([[[300.0, 0.0]]]), torch.tensor([[[0.0, 300.0]]])
    assert are_coarse(across, across, 1.0)
    assert not are_coarse(across, along, 1.0)  # orthogonal: the score is 0
    assert not are_coarse(across.double(), across.double(), 1.0)
    assert not are_coarse(across, across, 1e-3)
    assert are_coarse(across.half(), across.half(), 1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_in_float32(dtype: torch.dtype) -> None:
    q, k, *_ = (each.to(dtype) for each in attention())
    exact = explicit_weights(q.double(), k.double(), scale=SCALE)
    log_normalisers = (SCALE * q.float() @ k.float().mT).logsumexp(dim=-1)
    found = AttentionWeights(q, k, log_normalisers, scale=SCALE)
    assert found.dtype == torch.float32
    torch.testing.assert_close(whole(found, exact.shape), exact, rtol=1e-5, atol=1e-9)


def test_a_chunk_is_as_large_whatever_the_picture() -> None:
    """Of 40,000 tokens the matrix would have 1.6·10⁹ entries a head."""
    q = torch.zeros(1, 40_000, 1)
    found = AttentionWeights(q, q, torch.full((1, 40_000), math.log(40_000)), scale=1.0)
    first = next(found.chunks())
    assert first.weights.numel() <= 2**18 * torch.get_num_threads()
    torch.testing.assert_close(first.weights, torch.full_like(first.weights, 1 / 40_000))
