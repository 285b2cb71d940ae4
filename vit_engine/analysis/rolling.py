"""A layer of attention rollout without its matrix: rows times residual·I + (1 − residual)·F, F of all heads as one."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from vit_engine.analysis.lowest import Lowest
from vit_engine.analysis.masses import weights_of
from vit_engine.devices import widened
from vit_engine.model.weights import AttentionWeights, Fusion
from vit_engine.trace.record import LayerTrace


@dataclass(frozen=True)
class Step:
    """How a layer's attention becomes F̃, one matrix whose rows sum to 1.

    fuse: how all heads become one, entry by entry: F. discard: 0..1, the part of all entries of F that are set to zero,
    the lowest ⌊discard·N²⌋; of equal ones the first, row by row. residual: 0..1, how much of a token stays with
    itself: F̃ is residual·I + (1 − residual)·F, each row divided by its sum. A row without any sum is zero.
    """

    fuse: Fusion = "mean"
    discard: float = 0.0
    residual: float = 0.5

    def __call__(self, layer: LayerTrace, masses: Tensor) -> Tensor:
        """Each row of masses (maps, tokens), at least 0, times F̃: widened, of the same shape.

        Memory is linear in the tokens: a chunk of weights at a time, and where entries are discarded 65,536 counters.
        The mean takes one pass over the weights of the queries that have mass. Discarding takes three over all.
        """
        if self.residual == 1:
            return masses
        every = bool(self.discard)  # which entries are the lowest, all rows say
        rows = torch.arange(masses.shape[1]) if every else masses.any(dim=0).nonzero().flatten()
        weights = weights_of(layer, rows)
        if self.fuse == "mean" and not every:
            return self.residual * masses + (1 - self.residual) * _mean(weights, masses[:, rows])
        kept = torch.zeros_like(masses)
        for some, fused in self._bands(weights, masses.shape[1]):
            sums = self.residual + (1 - self.residual) * widened(fused.sum(dim=-1))
            shares = torch.where(sums > 0, masses[:, rows[some]] / sums, 0)
            kept += (1 - self.residual) * (shares.to(fused.dtype) @ fused)
            kept[:, rows[some]] += self.residual * shares
        return kept

    def _bands(self, weights: AttentionWeights, tokens: int) -> Iterator[tuple[slice, Tensor]]:
        """Rows of F after its lowest entries are discarded."""
        count = int(Fraction(str(self.discard)) * tokens**2)  # exactly of the ratio as it is written
        if not count:
            return weights.fused(self.fuse)
        lowest = Lowest.of(lambda: (band for _, band in weights.fused(self.fuse)), count, weights.dtype)
        return lowest.zeroed(weights.fused(self.fuse))


def _mean(weights: AttentionWeights, masses: Tensor) -> Tensor:
    """masses (maps, queries) times the mean of all heads: (maps, tokens)."""
    own = masses.to(weights.dtype)
    total = masses.new_zeros(len(masses), weights.tokens)
    for chunk in weights.chunks():
        total[:, chunk.keys] += (own[:, chunk.queries] @ chunk.weights).sum(dim=0)
    return total / weights.heads
