"""The lowest entries of bands are those of a stable sort of the whole matrix."""

import pytest
import torch
from torch import Tensor

from vit_engine.analysis.lowest import Lowest


def zeroed(matrix: Tensor, count: int, *, band: int) -> Tensor:
    """By bands of so many rows."""
    lowest = Lowest.of(lambda: iter(matrix.split(band)), count, matrix.dtype)
    slices = [slice(start, start + band) for start in range(0, len(matrix), band)]
    copies = (part.clone() for part in matrix.split(band))
    return torch.cat([part for _, part in lowest.zeroed(zip(slices, copies, strict=True))])


def sorted_away(matrix: Tensor, count: int) -> Tensor:
    result = matrix.clone()
    result.view(-1)[matrix.view(-1).sort(stable=True).indices[:count]] = 0
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 76, 77, 142, 143])
@pytest.mark.parametrize("band", [1, 4, 13])
@pytest.mark.parametrize("kind", ["spread", "near", "ties", "equal", "zeros"])
def test_they_are_those_of_a_sort(kind: str, dtype: torch.dtype, count: int, band: int) -> None:
    draw = torch.rand(13, 11, generator=torch.Generator().manual_seed(0), dtype=dtype)
    matrix = {
        "spread": (draw * 300 - 299).exp(),  # e^-299..e, which float32 has as zero for the most part
        "near": 1 + draw * 50 * torch.finfo(dtype).eps,  # differ in the last bits alone
        "ties": (draw * 5).floor() / 5,
        "equal": torch.full_like(draw, 1 / 3),
        "zeros": torch.zeros_like(draw),
    }[kind]
    assert torch.equal(zeroed(matrix, count, band=band), sorted_away(matrix, count))
