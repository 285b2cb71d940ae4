"""differentiate(): one forward and one backward pass for a target, shared by all gradient methods and all layers.

The forward pass keeps each layer's input, queries, keys, values and mixed values: linear in the tokens. The backward
pass goes from the top down and computes one block at a time again, so that only one block's graph lives at once;
attention's own gradient is streamed. What has no gradient is left out: under a classifier that reads the CLS token, the
last block has one row.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model import Block, VisionTransformer
from vit_engine.model.backward import relu_row_sum
from vit_engine.model.fused import fused_attention, fused_backward
from vit_engine.model.positions import Rotation
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import RunPlan
from vit_engine.progress import Progress
from vit_engine.trace.checks import (
    Overflow,
    check_fit,
    check_trace,
    check_weights,
    graphs_possible,
    memory_errors,
    pixels_of,
    require_finite,
    require_slope,
)
from vit_engine.trace.gradients import Gradients, LayerGradients
from vit_engine.trace.record import AttentionTrace, LayerTrace
from vit_engine.trace.run import predictions_of
from vit_engine.trace.targets import Target, check_target, find_target
from vit_engine.weights import LoadedModel


def differentiate(
    loaded: LoadedModel,
    prepared: PreparedImage,
    *,
    target: Target | int | str | None = None,
    trace: AttentionTrace | None = None,
    backward: bool = True,
    readouts: bool = True,
    progress: Progress | None = None,
) -> tuple[AttentionTrace, Gradients]:
    """The gradient of a target, and the attention that it belongs to: exact, in memory linear in the tokens.

    target: as find_target() takes it; None is the likeliest class. trace: of all layers of this picture in this model,
    where there is one: returned as it is, and its queries and keys are used; otherwise one without statistics is made.
    backward: False leaves the gradient out: readouts alone need no backward pass. readouts: whether they are made.
    progress(fraction, message) is called after each layer, forward and backward.

    Raises SpecError for a target that does not exist, and for a model in half precision; NumericalError where the
    gradient is not finite; and what attend() raises, ResourceError before anything is run. SpecError also for a trace
    of another model, other weights, precision or picture, and for the gradient of a picture's similarity to itself.
    """
    check_fit(prepared.grid, loaded.spec)
    target = check_target(target, loaded.spec, prepared.grid)
    if target is not None:
        target.check_model(loaded.model)
    check_gradient_memory(loaded, prepared.grid, traced=trace is not None)
    check_trace(trace, prepared, loaded)
    with memory_errors(prepared.grid, loaded), graphs_possible():
        run = GradientPass(loaded, prepared, trace, progress or (lambda fraction, message: None))
        run.forward()
        fixed = run.bind(target)
        if backward:
            require_slope(fixed, run.score)
        run.backward(gradients=backward, readouts=readouts)
        return run.trace(), run.gradients()


def check_gradient_memory(loaded: LoadedModel, grid: TokenGrid, *, traced: bool) -> None:
    """SpecError in half precision; ResourceError, before anything is run, where there is too little memory.

    traced: whether there is a trace; if not, one is made.
    """
    asked = partial(RunPlan.asked, loaded.spec, statistics="none", device=loaded.device, dtype=loaded.dtype)
    check_memory(asked(gradients=True), grid, before=[] if traced else [asked()])


_TOKENS = 1024  # whose MLP is computed at a time on the way back


@dataclass
class _Kept:
    """One layer of the forward pass: what its block reads (N, D); of its heads (H, N, d) each, log-normalisers (H, N).

    All have their memory before the run begins, as in attend(); on the way back the first two give it to V and G.
    """

    tokens: Tensor
    mixed: Tensor  # the heads' outputs
    queries: Tensor
    keys: Tensor
    log_normalisers: Tensor


class GradientPass:
    """The two passes; what they leave is in its attributes. Call without gradients enabled."""

    def __init__(
        self, loaded: LoadedModel, prepared: PreparedImage, trace: AttentionTrace | None, progress: Progress
    ) -> None:
        self.started = time.perf_counter()
        self.loaded, self.prepared, self.given, self.progress = loaded, prepared, trace, progress
        self.model: VisionTransformer = loaded.model
        self.grid: TokenGrid = prepared.grid
        self.blocks = cast(Sequence[Block], self.model.blocks)
        self.layers: dict[int, LayerGradients] = {}
        self.traced: dict[int, LayerTrace] = {}
        self.readouts: dict[int, np.ndarray] = {}
        self.activations: dict[int, np.ndarray] = {}
        self.pixels: np.ndarray | None = None
        self.images = pixels_of(prepared, loaded)
        self.rotation: Rotation | None = self.model.rotation(self.images)
        self.overflow = Overflow(loaded)
        heads, tokens, dim = loaded.spec.heads, prepared.grid.tokens, loaded.spec.dim
        empty = partial(torch.empty, dtype=loaded.dtype, device=loaded.device)
        vectors = heads, tokens, dim // heads
        self.kept: list[_Kept] = []
        for layer in range(len(self.blocks)):
            known, own = self._known(layer), (empty(tokens, dim), empty(vectors))
            if known is None:
                self.kept.append(_Kept(*own, empty(vectors), empty(vectors), empty(vectors[:2])))
            else:
                self.kept.append(_Kept(*own, known.queries, known.keys, known.log_normalisers))

    def _known(self, layer: int) -> LayerTrace | None:
        """What the trace that was given has of a layer."""
        return None if self.given is None else self.given.layers.get(layer)

    def forward(self) -> None:
        """Run the model and keep of every layer what the way back needs; NumericalError where activations overflow."""
        self.stream = self.model.embed(self.images)
        for layer, (block, kept) in enumerate(zip(self.blocks, self.kept, strict=True)):
            q, k, v = block.attn.queries_keys_values(block.norm1(self.stream), self.rotation)
            mixed, log_normalisers = fused_attention(q, k, v, scale=block.attn.scale, grid=self.grid)
            kept.tokens.copy_(self.stream[0])
            kept.mixed.copy_(mixed[0])
            if (known := self._known(layer)) is not None:
                check_weights(known, q[0], layer)
            else:
                kept.queries.copy_(q[0])
                kept.keys.copy_(k[0])
                kept.log_normalisers.copy_(log_normalisers[0])
            self.overflow.add(layer, log_normalisers)
            del q, k, v
            self.stream = block.add(self.stream, block.attn.project(mixed))
            self.progress(0.4 * (layer + 1) / len(self.blocks), f"layer {layer + 1} of {len(self.blocks)}")
        self.output = self.model.classify(self.stream)
        self.overflow.require_none(self.output, self.loaded)

    def bind(self, target: Target | None) -> Target:
        """What is asked, None the likeliest class; fixed by what it takes from this picture. Its value is the score."""
        self.target = target or find_target(int(self.output[0].argmax()), self.loaded.spec)
        self.fixed = self.target.bound(self.model, self.stream, self.grid)
        self.score = float(self.fixed.score(self.model, self.stream)[0])
        return self.fixed

    def backward(self, *, gradients: bool, readouts: bool) -> None:
        """From the top down: the target's readout of each layer, and its gradient through it."""
        rise = self._of_score(self.stream) if gradients else None  # ∂y/∂x by the tokens that leave the layer
        above = self.stream  # these tokens
        for layer in reversed(range(len(self.blocks))):
            block, kept = self.blocks[layer], self.kept[layer]
            tokens = kept.tokens[None].clone()
            values = self._values(block, tokens)
            if readouts:
                self.readouts[layer] = self._readout(layer, values, above)
            if self.given is None:
                norms = block.attn.value_norms(values[None])[0].to(kept.log_normalisers.dtype)
                known = kept.queries, kept.keys, kept.log_normalisers, block.attn.scale
                self.traced[layer] = LayerTrace(*known, value_norms=norms)
            if rise is not None:
                rise = self._through(layer, tokens, values, rise)
            above = tokens
            self.progress(1 - 0.6 * layer / len(self.blocks), f"gradients of layer {layer}")
        if rise is not None:
            self.pixels = self._pixels(rise)

    def _values(self, block: Block, tokens: Tensor) -> Tensor:
        """V of each head, again: (H, N, d)."""
        values = block.attn.project_to("value", block.norm1(tokens))
        return rearrange(values[0], "n (h d) -> h n d", h=block.attn.heads)

    def _of_score(self, tokens: Tensor) -> Tensor:
        """∂s/∂x (1, N, D) of the target, read from these tokens."""
        with torch.enable_grad():
            tokens = tokens.detach().requires_grad_()
            return torch.autograd.grad(self.fixed.score(self.model, tokens).sum(), tokens)[0]

    def _through(self, layer: int, tokens: Tensor, values: Tensor, rise: Tensor) -> Tensor:
        """∂y/∂x by what the block reads, from that by what it leaves; keeps the layer's gradients."""
        block, kept = self.blocks[layer], self.kept[layer]
        residual, of_mixed, rows = self._after_attention(block, kept, rise)
        of_vectors = fused_backward(
            kept.queries,
            kept.keys,
            values,
            log_normalisers=kept.log_normalisers,
            output=kept.mixed,
            gradient=of_mixed,
            scale=block.attn.scale,
            rows=rows,
        )
        values = kept.tokens.view(kept.mixed.shape).copy_(values)
        self.layers[layer] = LayerGradients(values, kept.mixed.copy_(of_mixed), rows)
        del of_mixed
        of_queries, of_keys, of_values = (each[None] for each in of_vectors)
        of_normed = block.attn.project_back(of_queries, of_keys, of_values, self.rotation)
        del of_vectors, of_queries, of_keys, of_values
        with torch.enable_grad():
            normed = block.norm1(tokens.requires_grad_())
            of_tokens = torch.autograd.grad(normed, tokens, of_normed)[0]
        self.activations[layer] = self._weighted(normed.detach()[0], of_normed[0])
        return require_finite(of_tokens.add_(residual), self.fixed, layer)

    def _after_attention(self, block: Block, kept: _Kept, rise: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """∂y by the block's input past attention (1, N, D), and by the mixed values (H, N, d); the rows of the latter.

        Each token has its own projection and MLP: they go some at a time, and those without a gradient are left out.
        """
        rows = torch.nonzero(rise[0].abs().amax(dim=-1)).flatten()
        of_tokens, of_mixed = torch.zeros_like(rise), torch.zeros_like(kept.mixed)
        for some in rows.split(_TOKENS):
            with torch.enable_grad():
                mixed = kept.mixed[None, :, some].requires_grad_()
                tokens = kept.tokens[None, some].requires_grad_()
                middle = block.middle(tokens, block.attn.project(mixed))
                hidden = block.mlp.hidden(block.norm2(middle))
                left = rise[:, some]
                of_hidden = block.ls2(left) @ block.mlp.last.weight  # nobody reads what the last product would give
                parts = torch.autograd.grad((middle, hidden), (tokens, mixed), (left, of_hidden))
            of_tokens[:, some], of_mixed[:, some] = parts[0], parts[1][0]
        return of_tokens, of_mixed, None if len(rows) == rise.shape[1] else rows

    def _readout(self, layer: int, values: Tensor, left: Tensor) -> np.ndarray:
        """The mean over all queries of ReLU(∂s/∂A) of each head, where s is read from what this layer has left."""
        _, of_mixed, rows = self._after_attention(self.blocks[layer], self.kept[layer], self._of_score(left))
        of_mixed = of_mixed if rows is None else of_mixed[:, rows]
        sums = relu_row_sum(of_mixed, values)
        return self._map(require_finite(sums, self.fixed, layer) / self.grid.tokens)

    def _weighted(self, normed: Tensor, gradient: Tensor) -> np.ndarray:
        patches = slice(self.grid.prefix, None)
        return self._map((normed @ gradient[patches].mean(dim=0))[None])[0]

    def _pixels(self, rise: Tensor) -> np.ndarray:
        """Input × gradient, summed over the channels and pixels of each patch."""
        with torch.enable_grad():
            images = self.images.detach().requires_grad_()
            gradient = torch.autograd.grad(self.model.embed(images), images, rise)[0]
        side = self.grid.patch_size
        product = (gradient * images.detach())[0].sum(dim=0)
        return reduce(product, "(r p) (c q) -> r c", "sum", p=side, q=side).float().cpu().numpy()

    def _map(self, tokens: Tensor) -> np.ndarray:
        """Of values (heads, tokens), those of the patches: float32 (heads, rows, cols)."""
        return tokens[:, self.grid.prefix :].float().unflatten(1, self.grid.shape).cpu().numpy()

    def trace(self) -> AttentionTrace:
        """Of all layers, without statistics."""
        if self.given is not None:
            return self.given
        spec, layers = self.loaded.spec, dict(sorted(self.traced.items()))
        predictions = predictions_of(self.output[0], spec) if spec.class_names else ()
        sha256, random = self.prepared.sha256, self.loaded.report.random
        return AttentionTrace(spec, self.grid, sha256, layers, None, predictions, self.seconds(), random)

    def gradients(self) -> Gradients:
        return Gradients(
            spec=self.loaded.spec,
            grid=self.grid,
            image_sha256=self.prepared.sha256,
            target=self.target,
            score=self.score,
            layers=self.layers,
            readouts=self.readouts,
            activations=self.activations,
            pixels=self.pixels,
            seconds=self.seconds(),
            random=self.loaded.report.random,
        )

    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self.started
