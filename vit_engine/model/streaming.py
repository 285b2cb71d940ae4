"""Exact attention and its statistics without the matrix: chunks of scores pass through, sums stay.

For every query, with scores s_j = scale · q·k_j, the pass leaves the output Σ p_j v_j, the
log-normaliser ln Σ exp s_j, and from the same chunks the entropies and the mean distance. Memory is
linear in the tokens: one chunk of scores lives at a time, sized to a core's cache.

Over the patch keys read so far four sums stand for each query, taken from the largest score m: Z = Σ e^t, M = Σ e^t t,
L = Σ e^t ‖Δ‖ and Σ e^t v, where t = s − m ≤ 0. A chunk that raises m by δ shrinks them by f = e^−δ, and M becomes
f·(M − δZ) (Milakov & Gimelshein 2018, arXiv 1805.02867, with a moment added). The entropy ln Z − M / Z is a sum of two
terms that are never negative: nothing cancels, and one-hot attention gives exactly 0. Scores too large for float32 to
know their differences are taken in float64, on a CPU, where looking at them costs nothing.

Prefix keys are few and join at the end: what goes to patches alone is known, renormalised, even where
the prefix takes all the mass.

`explicit_weights` is the reference: the whole matrix, for tests and for small pictures.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vit_engine.grid import TokenGrid
from vit_engine.model.chunks import Chunk, ChunkShape, chunk_bytes, chunks

LOG2_E = math.log2(math.e)
OUT_OF_REACH = 2.0**100  # the least difference of two scores times this is more than any number of tokens
COARSE_SCORE = 100.0  # measured: up to here, float32 scores give entropies within 1e-5 of those of float64


@dataclass(frozen=True)
class AttentionPlan:
    """What to find out about one layer's attention."""

    grid: TokenGrid
    entropy: bool = True  # entropies, prefix mass and maximum of every query
    distance: bool = True  # mean attention distance of every patch query
    argmax: bool = True  # which key every query gives its largest weight
    output: bool = True  # the mixed values, which a later layer needs
    chunk_bytes: int | None = None  # the size that one chunk of scores may have; None fits the device

    @property
    def quantities(self) -> tuple[str, ...]:
        """What it finds out about every query: fields of StreamedAttention."""
        entropies = ("entropy", "patch_entropy", "prefix_mass", "maximum")
        return entropies * self.entropy + ("distance",) * self.distance + ("argmax",) * self.argmax


@dataclass(frozen=True)
class StreamedAttention:
    """One layer's attention, reduced over keys: (B, H, N), float32. What the plan did not ask for is None."""

    log_normaliser: Tensor  # ln Σ_j exp(s_j)
    output: Tensor | None = None  # (B, H, N, d), in the dtype of the values
    entropy: Tensor | None = None  # nats, over all keys, 0..ln N
    patch_entropy: Tensor | None = None  # nats, over patch keys renormalised, 0..ln(patches)
    prefix_mass: Tensor | None = None  # the share of the prefix keys, 0..1
    maximum: Tensor | None = None  # the largest weight over all keys, 0..1
    distance: Tensor | None = None  # (B, H, patches), pixels: Σ_j p_j ‖Δ_j‖ over patch keys renormalised
    argmax: Tensor | None = None  # int64: the token that has the largest weight as a key; of equal ones the first


def explicit_weights(
    queries: Float[Tensor, "*lead queries d"], keys: Float[Tensor, "*lead keys d"], *, scale: float
) -> Float[Tensor, "*lead queries keys"]:
    """softmax(scale · q kᵀ), whole."""
    return (scale * queries @ keys.mT).softmax(dim=-1)


def stream_attention(
    queries: Float[Tensor, "B H N d"],
    keys: Float[Tensor, "B H N d"],
    values: Float[Tensor, "B H N d"],
    *,
    scale: float,
    plan: AttentionPlan,
) -> StreamedAttention:
    """What the plan asks of softmax(scale · q kᵀ) v, in memory linear in N.

    Half-precision inputs are widened first: every sum runs in float32 at least. No gradients.
    """
    batch, heads, tokens, _ = queries.shape
    if tokens != plan.grid.tokens:
        raise ValueError(f"the plan's grid has {plan.grid.tokens} tokens; got {tokens} queries.")
    wide = torch.promote_types(queries.dtype, torch.float32)
    q, k, v = (x.flatten(0, 1).to(wide) for x in (queries, keys, values))  # (B·H, N, d)
    reduced = _reduce(_sum_patches(q, k, v, scale, plan), q, k, v, plan.grid)
    if plan.output:
        reduced["output"] = reduced["output"].to(values.dtype)
    return StreamedAttention(**{name: each.unflatten(0, (batch, heads)) for name, each in reduced.items()})


def _sum_patches(q: Tensor, k: Tensor, v: Tensor, scale: float, plan: AttentionPlan) -> "_PatchSums":
    """All chunks summed; where a GPU's memory does not suffice for one, they are made smaller."""
    k, v = (x[:, plan.grid.prefix :] for x in (k, v))
    shape = ChunkShape.within(plan.chunk_bytes or chunk_bytes(q.device), q.shape[0], plan.grid)
    while True:
        try:
            return _PatchSums.of(q, k, v, scale=scale, plan=plan, shape=shape)
        except torch.OutOfMemoryError:
            if shape == ChunkShape(heads=1, queries=1, patch_rows=1):
                raise
        shape = ChunkShape.within(shape.scores(plan.grid), q.shape[0], plan.grid)  # a quarter of the bytes


class _PatchSums:
    """The sums over the patch keys of all queries, (B·H, N, 1), and of their values, (B·H, N, d).

    `maximum` and `moment` are of scores not yet scaled; `path` is in patches; `argmax` is a token's number, negated.
    """

    def __init__(self, q: Tensor, v: Tensor, scale: float, plan: AttentionPlan, shape: ChunkShape) -> None:
        heads, tokens = q.shape[:2]
        self.scale = scale
        self.maximum = q.new_zeros(heads, tokens, 1, dtype=q.dtype if q.device.type == "mps" else torch.float64)
        self.total = q.new_zeros(heads, tokens, 1)
        self.moment = q.new_zeros(heads, tokens, 1) if plan.entropy else None
        self.path = q.new_zeros(heads, tokens, 1) if plan.distance else None
        self.argmax = q.new_full((heads, tokens, 1), -math.inf) if plan.argmax else None
        self.numbers = -torch.arange(plan.grid.prefix, tokens, dtype=q.dtype, device=q.device)
        # Heads side by side in memory, as the projection after attention reads them.
        self.mixed = q.new_zeros(tokens, heads, v.shape[-1]).transpose(0, 1) if plan.output else None
        self.scratch = [q.new_empty(shape.scores(plan.grid)) for _ in range(2)]

    @classmethod
    def of(
        cls, q: Tensor, k: Tensor, v: Tensor, *, scale: float, plan: AttentionPlan, shape: ChunkShape
    ) -> "_PatchSums":
        sums = cls(q, v, scale, plan, shape)
        for chunk in chunks(q, plan.grid, shape, distance=plan.distance):
            sums.add(chunk, q[chunk.at], k[chunk.heads, chunk.keys], v[chunk.heads, chunk.keys])
        return sums

    def add(self, chunk: Chunk, q: Tensor, k: Tensor, v: Tensor) -> None:
        cells = (*q.shape[:2], k.shape[1])
        t, weights = (buffer[: math.prod(cells)].view(cells) for buffer in self.scratch)
        torch.bmm(q, k.mT, out=t)
        highest = t.amax(dim=-1, keepdim=True)
        if is_coarse(highest, self.scale):
            scores = q.double() @ k.double().mT
            self._raise_maximum(chunk, scores.amax(dim=-1, keepdim=True))
            t.copy_(scores.sub_(self.maximum[chunk.at]))
        else:
            self._raise_maximum(chunk, highest)
            t.sub_(self.maximum[chunk.at].to(t.dtype))
        if self.argmax is not None:
            self._take_argmax(self.argmax[chunk.at], t, self.numbers[chunk.keys], spare=weights)
        torch.mul(t, self.scale * LOG2_E, out=weights).exp2_()
        self._sum(chunk, t, weights, v)

    @staticmethod
    def _take_argmax(known: Tensor, t: Tensor, numbers: Tensor, *, spare: Tensor) -> None:
        """Keep the first key at the maximum, where t is 0. PyTorch's argmax takes longer than two vectorised passes."""
        torch.add(numbers, t, alpha=OUT_OF_REACH, out=spare)
        torch.maximum(known, spare.amax(dim=-1, keepdim=True), out=known)

    def _sum(self, chunk: Chunk, t: Tensor, weights: Tensor, v: Tensor) -> None:
        """Add what the scores' differences from the maximum, and their exponentials, give. Overwrites both."""
        self.total[chunk.at].add_(weights.sum(dim=-1, keepdim=True))
        if self.mixed is not None:
            self.mixed[chunk.at].baddbmm_(weights, v)
        if self.moment is not None:
            self.moment[chunk.at].add_(t.mul_(weights).sum(dim=-1, keepdim=True))
        if self.path is not None and chunk.distances is not None:
            patches = chunk.distances.shape[0]  # the last of the queries
            far = weights[:, -patches:].mul_(chunk.distances)
            self.path[chunk.at][:, -patches:].add_(far.sum(dim=-1, keepdim=True))

    def _raise_maximum(self, chunk: Chunk, highest: Tensor) -> None:
        """Take the sums from the larger of the old maximum and this one."""
        known = self.maximum[chunk.at]
        if not chunk.first:
            highest = torch.maximum(known, highest)
            change = (known - highest).to(self.total.dtype)
            shrink = (change * self.scale).exp()
            if self.moment is not None:
                self.moment[chunk.at].addcmul_(change, self.total[chunk.at])
            for sums in (self.total, self.moment, self.path, self.mixed):
                if sums is not None:
                    sums[chunk.at].mul_(shrink)
            if self.argmax is not None:
                self.argmax[chunk.at].masked_fill_(change < 0, -math.inf)
        known.copy_(highest)


def is_coarse(scores: Tensor, scale: float) -> bool:
    """Whether float32 scores, unscaled, are too large for exact weights; False on a GPU, which would have to wait."""
    return scores.device.type == "cpu" and scores.abs().max().item() * scale > COARSE_SCORE


def _reduce(sums: _PatchSums, q: Tensor, k: Tensor, v: Tensor, grid: TokenGrid) -> dict[str, Tensor]:
    """The sums over the patch keys, joined with the prefix keys; each (B·H, N), the output (B·H, N, d)."""
    prefix_t = _prefix_differences(sums, q, k[:, : grid.prefix])
    reduced: dict[str, Tensor] = {} if sums.argmax is None else {"argmax": _argmax(sums.argmax, prefix_t)}
    lift = functional.pad(prefix_t, (1, 0)).amax(dim=-1, keepdim=True)  # of the maximum by the prefix, ≥ 0
    patch_shrink, prefix_weights = (-lift).exp(), prefix_t.sub_(lift).exp_()
    total = sums.total * patch_shrink + prefix_weights.sum(dim=-1, keepdim=True)
    prefix_weights /= total
    largest_patch = patch_shrink / total
    reduced["log_normaliser"] = (sums.maximum * sums.scale + lift + total.log()).to(total.dtype)
    if sums.moment is not None:
        patch_mass = largest_patch * sums.total
        over_patches = sums.total.log() - sums.moment * sums.scale / sums.total
        from_patches = torch.special.entr(patch_mass) + patch_mass * over_patches
        reduced["entropy"] = from_patches + torch.special.entr(prefix_weights).sum(dim=-1, keepdim=True)
        reduced["patch_entropy"] = over_patches
        reduced["prefix_mass"] = prefix_weights.sum(dim=-1, keepdim=True)
        reduced["maximum"] = torch.cat([largest_patch, prefix_weights], dim=-1).amax(dim=-1, keepdim=True)
    if sums.path is not None:
        reduced["distance"] = (sums.path / sums.total)[:, grid.prefix :] * grid.patch_size
    reduced = {name: each.squeeze(-1) for name, each in reduced.items()}
    if sums.mixed is not None:
        reduced["output"] = sums.mixed.mul_(largest_patch).baddbmm_(prefix_weights, v[:, : grid.prefix])
    return reduced


def _argmax(negated: Tensor, prefix_t: Tensor) -> Tensor:
    """The token with the largest weight; any, where activations overflow, which is found out after the run."""
    first = functional.pad(prefix_t, (0, 1)).argmax(dim=-1, keepdim=True)  # a prefix token, or one behind: a patch
    patch = negated.neg().nan_to_num(0.0, posinf=0.0).long()
    return torch.where(first < prefix_t.shape[-1], first, patch)


def _prefix_differences(sums: _PatchSums, q: Tensor, k_prefix: Tensor) -> Tensor:
    """Scores of the prefix keys, scaled, from the largest patch score: (B·H, N, P)."""
    scores = q @ k_prefix.mT
    if scores.numel() and (is_coarse(scores, sums.scale) or is_coarse(sums.maximum, sums.scale)):
        return (q.double() @ k_prefix.double().mT).sub_(sums.maximum).mul_(sums.scale).to(q.dtype)
    return scores.sub_(sums.maximum.to(q.dtype)).mul_(sums.scale)
