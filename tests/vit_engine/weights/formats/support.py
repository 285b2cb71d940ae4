"""Parity with another implementation: same weights, same pictures, same tokens and attention in every layer."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import vit_engine as ve
from vit_engine.image import PreparedImage
from vit_engine.weights import LoadedModel

TOLERANCE = 1e-4


class Peer(NamedTuple):
    """What another implementation says about one picture.

    tokens: (N, D) after every block, not normalised. attention: (heads, N, N) of every layer. output: what
    its forward pass returns and ours should too (logits, or normalised CLS), or None.
    """

    tokens: Sequence[Tensor]
    attention: Sequence[Tensor]
    output: Tensor | None = None


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, large enough for attention to be far from even and for every tensor to matter; eval, frozen."""
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(1 + 0.2 * noise if tensor.ndim == 1 and (tensor == 1).all() else tensor + 0.3 * noise)
    return model.eval()


def pictures(height: int, width: int, seed: int = 1) -> Tensor:
    """One normalised picture of noise (1, 3, height, width)."""
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def captured(modules: Sequence[nn.Module], run: Callable[[], object]) -> list[Tensor]:
    """What each of these modules returns while `run` runs, the first of several things, of the first picture."""
    seen: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[..., None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            seen[number] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    handles = [module.register_forward_hook(keep(number)) for number, module in enumerate(modules)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return [seen[number][0] for number in range(len(modules))]


def prepared(loaded: LoadedModel, images: Tensor) -> PreparedImage:
    """A normalised picture as prepare_image would hand it over; its pixels do not matter."""
    height, width = images.shape[-2:]
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    return PreparedImage(pixels, images[0], loaded.spec.grid(height, width), "0" * 64)


def assert_parity(loaded: LoadedModel, images: Tensor, peer: Peer) -> None:
    """Tokens after every block and attention of every layer are the peer's, and attention is what mixes the values."""
    blocks = list(loaded.model.blocks)
    assert len(blocks) == len(peer.tokens) == len(peer.attention) == loaded.spec.depth
    tokens = captured(blocks, lambda: loaded.model(images))
    trace = ve.attend(loaded, prepared(loaded, images))
    for layer, block in enumerate(blocks):
        weights = torch.from_numpy(trace.weights(layer))
        expected = peer.attention[layer]
        assert expected.shape == (loaded.spec.heads, trace.grid.tokens, trace.grid.tokens)
        assert expected.std() > 0.1 / expected.shape[-1], "attention so even proves nothing"
        torch.testing.assert_close(weights, expected.float(), rtol=0, atol=TOLERANCE)
        assert_relatively_close(tokens[layer], peer.tokens[layer])
        _assert_mixes_the_values(loaded, images, block, weights)
    if peer.output is not None:
        assert_relatively_close(loaded.model(images)[0], peer.output.flatten())


def assert_relatively_close(ours: Tensor, theirs: Tensor) -> None:
    """Within TOLERANCE of the largest value, or of 1."""
    torch.testing.assert_close(ours, theirs.float(), rtol=0, atol=TOLERANCE * max(1.0, theirs.abs().max().item()))


def _assert_mixes_the_values(loaded: LoadedModel, images: Tensor, block: nn.Module, weights: Tensor) -> None:
    """A · V, projected, is what the block's attention returns."""
    normed, attended = captured([block.norm1, block.attn], lambda: loaded.model(images))
    _, _, values = block.attn.queries_keys_values(normed.unsqueeze(0))
    assert_relatively_close(block.attn.project(weights @ values)[0], attended)
