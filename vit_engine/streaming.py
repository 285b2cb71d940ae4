"""Exact attention and its statistics without the matrix: query rows pass through in chunks.

For every query row, with scores s_j = scale · q·k_j, the pass leaves the output Σ p_j v_j, the
log-normaliser ln Σ exp s_j, and from the same chunk the entropies and the mean distance. Memory is
linear in the tokens: one chunk lives at a time, sized to a byte budget.

Patch keys and prefix keys are summed apart. With scores taken from the patch maximum, t_j ≤ 0 and
Z = Σ exp t_j ≥ 1, the entropy ln Z − Σ exp(t_j) t_j / Z is a sum of two terms that are never
negative: nothing cancels, one-hot attention gives exactly 0, and the renormalised patch entropy
exists even where the prefix takes all the mass. All weights come from differences of scores, so a
large score that all keys share costs no precision.

`explicit_weights` is the reference: the whole matrix, for tests and for small pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.spec import TokenGrid

# A chunk of scores and its exponentials stay in a core's second-level cache on a CPU. A GPU has
# cores to fill instead.
CPU_CHUNK_BYTES = 1 << 20
GPU_CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class AttentionPlan:
    """What to find out about one layer's attention beside its output.

    entropy: entropies, prefix mass and maximum of every query. distance: mean attention distance of
    every patch query. chunk_bytes: the size that one chunk of scores may have; None fits the device.
    """

    grid: TokenGrid
    entropy: bool = True
    distance: bool = True
    chunk_bytes: int | None = None


@dataclass(frozen=True)
class StreamedAttention:
    """One layer's attention, reduced over keys; H heads, N tokens, d head dimensions, float32.

    output: (B, H, N, d), in the dtype of the values.
    log_normaliser: (B, H, N), ln Σ_j exp(s_j).
    entropy: (B, H, N), nats, over all keys, 0..ln N.
    patch_entropy: (B, H, N), nats, over patch keys renormalised, 0..ln(patches).
    prefix_mass: (B, H, N), the share of the prefix keys, 0..1.
    maximum: (B, H, N), the largest weight over all keys, 0..1.
    distance: (B, H, patches), pixels: for each patch query Σ_j p_j ‖Δ_j‖ over patch keys renormalised.
    What the plan did not ask for is None.
    """

    output: Tensor
    log_normaliser: Tensor
    entropy: Tensor | None = None
    patch_entropy: Tensor | None = None
    prefix_mass: Tensor | None = None
    maximum: Tensor | None = None
    distance: Tensor | None = None


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
    """Attention output and the statistics of the plan, in memory linear in N.

    Half-precision inputs are widened chunk by chunk: every sum runs in float32 at least.
    """
    batch, heads, tokens, _ = queries.shape
    if tokens != plan.grid.tokens:
        raise ValueError(f"the plan's grid has {plan.grid.tokens} tokens; got {tokens} queries.")
    q, k, v = (x.flatten(0, 1) for x in (queries, keys, values))  # (B·H, N, d)
    results = _Results(q, v, plan)
    for rows, distances in _row_chunks(q, plan):
        for group in _head_groups(q, plan, rows):
            wide = torch.promote_types(q.dtype, torch.float32)
            chunk = _Chunk((q[group, rows].to(wide) * scale), k[group].to(wide), v[group].to(wide), plan.grid.prefix)
            results.write(group, rows, chunk, distances)
    return results.finish(batch, heads)


class _Chunk:
    """Scores of some query rows of some heads against all keys, reduced. g heads, r rows, P prefix, M patches."""

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, prefix: int) -> None:
        self.v_prefix, self.v_patch = v[:, :prefix], v[:, prefix:]
        self.t = q @ k[:, prefix:].mT  # (g, r, M), patch scores, then taken from their maximum
        self.patch_maximum = self.t.amax(dim=-1)
        self.t -= self.patch_maximum.unsqueeze(-1)
        self.exp_t = self.t.exp()
        self.z = self.exp_t.sum(dim=-1)  # (g, r), ≥ 1
        prefix_t = q @ k[:, :prefix].mT - self.patch_maximum.unsqueeze(-1)  # (g, r, P)
        patch_log_z, prefix_log_z = self.z.log(), prefix_t.logsumexp(dim=-1)  # the latter −inf without a prefix
        self.log_normaliser = self.patch_maximum + torch.logaddexp(patch_log_z, prefix_log_z)
        self.patch_mass = (patch_log_z - prefix_log_z).sigmoid()
        prefix_mass = (prefix_log_z - patch_log_z).sigmoid()
        self.prefix_weights = prefix_t.softmax(dim=-1) * prefix_mass.unsqueeze(-1)

    def output(self) -> Tensor:
        patches = (self.exp_t @ self.v_patch) * (self.patch_mass / self.z).unsqueeze(-1)
        return patches + self.prefix_weights @ self.v_prefix

    def entropies(self) -> tuple[Tensor, Tensor]:
        """Over all keys and over patch keys renormalised; each (g, r), nats."""
        over_patches = self.z.log() - _row_dot(self.exp_t, self.t) / self.z
        from_patches = torch.special.entr(self.patch_mass) + self.patch_mass * over_patches
        return from_patches + torch.special.entr(self.prefix_weights).sum(dim=-1), over_patches

    def maximum(self) -> Tensor:
        largest_patch = self.patch_mass / self.z
        return torch.cat([largest_patch.unsqueeze(-1), self.prefix_weights], dim=-1).amax(dim=-1)

    def distance(self, distances: Tensor) -> Tensor:
        """Of the last rows, as many as `distances` (rows, M) has."""
        rows = distances.shape[0]
        if not rows:
            return self.z[:, :0]
        return _row_dot(self.exp_t[:, -rows:], distances) / self.z[:, -rows:]


def _row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Σ_j a_ij b_ij."""
    return (a * b).sum(dim=-1)


class _Results:
    """The tensors that the chunks are written to, heads flattened: (B·H, N)."""

    def __init__(self, q: Tensor, v: Tensor, plan: AttentionPlan) -> None:
        wide = torch.promote_types(q.dtype, torch.float32)

        def per_query(count: int = q.shape[1]) -> Tensor:
            return torch.empty(q.shape[0], count, dtype=wide, device=q.device)

        self.plan = plan
        self.tensors = {"output": torch.empty_like(v), "log_normaliser": per_query()}
        if plan.entropy:
            self.tensors |= {name: per_query() for name in ("entropy", "patch_entropy", "prefix_mass", "maximum")}
        if plan.distance:
            self.tensors["distance"] = per_query(plan.grid.patches)

    def write(self, group: slice, rows: slice, chunk: _Chunk, distances: Tensor | None) -> None:
        into = self.tensors
        into["output"][group, rows] = chunk.output().to(into["output"].dtype)
        into["log_normaliser"][group, rows] = chunk.log_normaliser
        if self.plan.entropy:
            into["entropy"][group, rows], into["patch_entropy"][group, rows] = chunk.entropies()
            into["prefix_mass"][group, rows] = chunk.prefix_weights.sum(dim=-1)
            into["maximum"][group, rows] = chunk.maximum()
        if distances is not None:
            last = rows.stop - self.plan.grid.prefix
            into["distance"][group, max(last - distances.shape[0], 0) : max(last, 0)] = chunk.distance(distances)

    def finish(self, batch: int, heads: int) -> StreamedAttention:
        """What the plan asked for, heads apart again."""
        return StreamedAttention(**{name: t.unflatten(0, (batch, heads)) for name, t in self.tensors.items()})


def _chunk_bytes(q: Tensor, plan: AttentionPlan) -> int:
    return plan.chunk_bytes or (GPU_CHUNK_BYTES if q.is_cuda else CPU_CHUNK_BYTES)


def _row_chunks(q: Tensor, plan: AttentionPlan) -> Iterator[tuple[slice, Tensor | None]]:
    """Slices of query rows, each with the distances (patch rows of it, patches) that all heads share."""
    tokens, grid = q.shape[1], plan.grid
    step = max(1, min(tokens, _chunk_bytes(q, plan) // (4 * tokens)))
    table = torch.from_numpy(grid.offsets()).to(q.device) if plan.distance else None
    for start in range(0, tokens, step):
        rows = slice(start, min(start + step, tokens))
        yield rows, None if table is None else _distance_rows(table, grid, rows)


def _distance_rows(table: Tensor, grid: TokenGrid, rows: slice) -> Tensor:
    """Distances (n, patches) in pixels from the patch queries among these rows to all patches.

    The table of offsets is translation-invariant and symmetric: a patch's distances are a window of
    it. All windows at once are a view, from which the rows are copied.
    """
    first, last = max(rows.start - grid.prefix, 0), max(rows.stop - grid.prefix, 0)
    windows = table.unfold(0, grid.rows, 1).unfold(1, grid.cols, 1)  # (rows, cols, rows, cols), a view
    patch = torch.arange(first, last, device=table.device)
    down = grid.rows - 1 - patch // grid.cols
    across = grid.cols - 1 - patch % grid.cols
    return windows[down, across].flatten(1)


def _head_groups(q: Tensor, plan: AttentionPlan, rows: slice) -> Iterator[slice]:
    """Slices of heads, as many together as a chunk holds."""
    heads, tokens = q.shape[:2]
    together = max(1, _chunk_bytes(q, plan) // (4 * tokens * (rows.stop - rows.start)))
    for start in range(0, heads, together):
        yield slice(start, min(start + together, heads))
