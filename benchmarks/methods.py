"""The contenders of methods: from a model and pictures to a map, ours beside plain PyTorch with N×N matrices.

rollout, relevance, legrad, grad_cam   explain(): everything, from the model and the picture
rollout_from_trace                     rollout of a trace that is there already
…_explicit                             as the methods' own code does it: matrices of all layers kept, autograd through
                                       them; Grad-CAM needs no matrix, only the graph

All explain the same target, the norm of the image embedding: these models have no classifier. A test holds each pair to
the same maps.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

import vit_engine as ve
from benchmarks.contenders import Build, Pictures, dino_attention
from vit_engine.model import Block
from vit_engine.trace.targets import NORM, find_target


def with_uneven_gains(loaded: ve.LoadedModel) -> ve.LoadedModel:
    """The model with gains of the final norm between ½ and 1½.

    Those of random weights are all 1: every image embedding is then equally long, and gradients are rounding errors.
    """
    gains = loaded.model.norm.weight
    with torch.no_grad():
        gains.copy_(torch.linspace(0.5, 1.5, len(gains)))
    return loaded


def explaining(method: str) -> Build:
    """explain(), one picture after another; it leaves the maps."""

    def run(loaded: ve.LoadedModel, pictures: Pictures) -> list[ve.AttentionMap]:
        target = NORM if "target" in ve.find_method(method).depends_on else None
        return [ve.explain(loaded, each, method=method, target=target) for each in pictures.prepared]

    return lambda loaded: lambda pictures: run(loaded, pictures)


def build_rollout_from_trace(loaded: ve.LoadedModel, pictures: Pictures) -> Callable[[], object]:
    """What reads a rollout from traces that are made here: it is called for what it costs."""
    traces = [ve.attend(loaded, each, statistics="none") for each in pictures.prepared]
    method = ve.find_method("rollout")
    return lambda: [method.attribute(trace).map for trace in traces]


def explicit(compute: Callable[[ve.LoadedModel, Pictures], Tensor]) -> Build:
    """compute leaves the values of all patches, (B, patches)."""

    def run(loaded: ve.LoadedModel, pictures: Pictures) -> Tensor:
        return compute(loaded, pictures).detach().unflatten(-1, pictures.prepared[0].grid.shape)

    return lambda loaded: lambda pictures: run(loaded, pictures)


def layers_of(
    loaded: ve.LoadedModel, pictures: Pictures, *, differentiable: bool = True
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each layer its matrices (B, H, N, N), and the tokens (B, N, D) that it leaves; all in one graph or in none."""
    tokens = [loaded.model.embed(pictures.images).requires_grad_(differentiable)]  # the weights are frozen
    matrices = []
    for block in cast(Sequence[Block], loaded.model.blocks):
        weights, values = dino_attention(block, tokens[-1])
        tokens.append(block.add(tokens[-1], block.attn.project(weights @ values)))
        matrices.append(weights)
    return matrices, tokens[1:]


def score_of(loaded: ve.LoadedModel, tokens: Tensor) -> Tensor:
    """The target's value, summed over the pictures, so that each has its own gradient."""
    return find_target(NORM, loaded.spec).score(loaded.model, tokens).sum()


def rollout(loaded: ve.LoadedModel, pictures: Pictures) -> Tensor:
    """Abnar and Zuidema 2020: the product of ½I + ½ mean over heads of A, the newest layer on the left."""
    matrices, _ = layers_of(loaded, pictures, differentiable=False)
    identity = torch.eye(matrices[0].shape[-1])
    product = identity
    for weights in matrices:
        product = (weights.mean(dim=1) + identity) / 2 @ product
    return product[:, 0, loaded.model.prefix :]


def relevance(loaded: ve.LoadedModel, pictures: Pictures) -> Tensor:
    """Chefer et al. 2021: R ← R + mean over heads of (A ⊙ ∇A)⁺ · R, from the first layer to the last."""
    matrices, tokens = layers_of(loaded, pictures)
    gradients = torch.autograd.grad(score_of(loaded, tokens[-1]), matrices)
    with torch.no_grad():
        relevance = torch.eye(matrices[0].shape[-1])
        for weights, gradient in zip(matrices, gradients, strict=True):
            relevance = relevance + (weights * gradient).clamp(min=0).mean(dim=1) @ relevance
    return relevance[:, 0, loaded.model.prefix :]


def legrad(loaded: ve.LoadedModel, pictures: Pictures) -> Tensor:
    """Bousselham et al. 2024: mean over layers, heads and queries of (∂s/∂A)⁺, s of each layer's own tokens."""
    total = torch.zeros(1)
    for weights, tokens in zip(*layers_of(loaded, pictures), strict=True):
        (gradient,) = torch.autograd.grad(score_of(loaded, tokens), weights, retain_graph=True)
        total = total + gradient.clamp(min=0).mean(dim=(1, 2))
    return total[:, loaded.model.prefix :] / len(loaded.model.blocks)


def grad_cam(loaded: ve.LoadedModel, pictures: Pictures) -> Tensor:
    """Selvaraju et al. 2017, at what the last layer's attention reads, as pytorch-grad-cam does it for ViTs."""
    *before, last = cast(Sequence[Block], loaded.model.blocks)
    x = loaded.model.embed(pictures.images).requires_grad_()
    for block in before:
        x = block(x)
    normed = last.norm1(x)
    attended = last.attn(normed)
    (gradient,) = torch.autograd.grad(score_of(loaded, last.add(x, attended)), normed)
    patches = slice(loaded.model.prefix, None)
    weights = gradient[:, patches].mean(dim=1)
    return (normed[:, patches] @ weights[..., None])[..., 0].clamp(min=0)


METHOD_CONTENDERS: dict[str, Build] = {
    "rollout": explaining("rollout"),
    "relevance": explaining("relevance"),
    "legrad": explaining("legrad"),
    "grad_cam": explaining("grad_cam"),
    "rollout_explicit": explicit(rollout),
    "relevance_explicit": explicit(relevance),
    "legrad_explicit": explicit(legrad),
    "grad_cam_explicit": explicit(grad_cam),
}
