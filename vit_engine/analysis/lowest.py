"""The lowest entries of a matrix that is only seen in bands of rows: exactly, in memory that does not grow with it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_DIGIT = 16  # bits that one pass tells apart
_PATTERNS = {torch.float32: torch.int32, torch.float64: torch.int64}


@dataclass(frozen=True)
class Lowest:
    """All entries below a number, and of those equal to it the first, row by row.

    pattern: the number's bits, which are in the order of the numbers, as none is negative. equal: how many of the
    entries that equal it are among the lowest.
    """

    pattern: int
    equal: int

    @classmethod
    def of(cls, bands: Callable[[], Iterable[Tensor]], count: int, dtype: torch.dtype) -> "Lowest":
        """The lowest `count` of all entries, at least 1. bands() yields the same bands in each pass, of this dtype.

        The first pass counts how many entries begin with which 16 bits; each further pass tells apart those that begin
        as the last of the lowest does: two passes for float32, four for float64. Besides a band it holds 65,536
        counters.
        """
        pattern, rest, width = 0, count, 8 * dtype.itemsize
        for shift in range(width - _DIGIT, -1, -_DIGIT):
            counters = sum(_count(band, pattern, shift, first=shift == width - _DIGIT) for band in bands())
            sums = torch.as_tensor(counters).cumsum(0)
            digit = int(torch.searchsorted(sums, rest))
            rest -= int(sums[digit - 1]) if digit else 0
            pattern = pattern << _DIGIT | digit
        return cls(pattern, rest)

    def zeroed(self, bands: Iterable[tuple[slice, Tensor]]) -> Iterator[tuple[slice, Tensor]]:
        """The same bands, beside their rows, with the lowest entries set to zero."""
        left = self.equal
        for rows, band in bands:
            entries, patterns = band.view(-1), band.view(-1).view(_PATTERNS[band.dtype])
            equal = (patterns == self.pattern).nonzero().flatten()[:left] if left else patterns[:0].long()
            left -= len(equal)
            entries.masked_fill_(patterns < self.pattern, 0)
            entries[equal] = 0
            yield rows, band


def _count(band: Tensor, pattern: int, shift: int, *, first: bool) -> Tensor:
    """How many entries have which 16 bits behind this pattern, `shift` bits from the right: (65536,)."""
    patterns = band.view(-1).view(_PATTERNS[band.dtype])
    if not first:
        patterns = patterns[patterns >> (shift + _DIGIT) == pattern]
    return torch.bincount((patterns >> shift) & (2**_DIGIT - 1), minlength=2**_DIGIT)
