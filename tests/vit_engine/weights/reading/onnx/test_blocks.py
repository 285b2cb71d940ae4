"""Models whose tensors are a plain Vision Transformer's, and whose graphs are not."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import Block, ResPostBlock
from torch import Tensor, nn

from tests.vit_engine.weights.formats.exports import EXPORTERS, export
from tests.vit_engine.weights.formats.timm_peers import small
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

Step = Callable[..., Tensor]


class Reordered(nn.Module):
    """A model within another, which runs its blocks in some order of its own."""

    def __init__(self, order: Callable[[nn.Sequential], Iterable[nn.Module]]) -> None:
        super().__init__()
        self.model = plain()
        self.order = order

    def forward(self, images: Tensor) -> Tensor:
        model = self.model
        tokens = torch.cat([model.cls_token, model.patch_embed(images)], dim=1) + model.pos_embed
        for block in self.order(model.blocks):
            tokens = block(tokens)
        return model.head(model.norm(tokens)[:, 0])


def plain(**options: object) -> nn.Module:
    return small("vit_tiny_patch16_224", img_size=20, dynamic_img_size=False, **options)


def with_blocks(step: Step) -> nn.Module:
    model = plain()
    for block in model.blocks:
        block.forward = partial(step, block)
    return model


def post_norm(block: Block, x: Tensor, **_: object) -> Tensor:
    x = block.norm1(x + block.attn(x))
    return block.norm2(x + block.mlp(x))


def parallel(block: Block, x: Tensor, **_: object) -> Tensor:
    return x + block.attn(block.norm1(x)) + block.mlp(block.norm2(x))


def other_norms(block: Block, x: Tensor, **_: object) -> Tensor:
    x = x + block.attn(block.norm2(x))
    return x + block.mlp(block.norm1(x))


def windows(block: Block, x: Tensor, **_: object) -> Tensor:
    """Attention in two halves, side by side in the batch."""
    parts = block.norm1(x).reshape(2, 13, 24)
    x = x + block.attn(parts).reshape(1, 26, 24)
    return x + block.mlp(block.norm2(x))


def halved(block: Block, x: Tensor, **_: object) -> Tensor:
    x = x + 0.5 * block.attn(block.norm1(x))
    return x + block.mlp(block.norm2(x))


def without_sum(block: Block, x: Tensor, **_: object) -> Tensor:
    x = block.attn(block.norm1(x))
    return x + block.mlp(block.norm2(x))


def fewer_tokens(block: Block, x: Tensor, **_: object) -> Tensor:
    return Block.forward(block, x)[:, :-4]


CHANGED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "post-norm": (lambda: with_blocks(post_norm), r"blocks\.0\.norm1 does not stand right before"),
    "norms of branches": (lambda: plain(block_fn=ResPostBlock), r"blocks\.0\.norm1 does not stand right before"),
    "parallel": (lambda: with_blocks(parallel), r"blocks\.0\.norm2 is given other tokens"),
    "norms exchanged": (lambda: with_blocks(other_norms), r"blocks\.0\.norm1 does not stand right before"),
    "windows": (lambda: with_blocks(windows), r"blocks\.0\.norm1 does not stand right before"),
    "scaled": (lambda: with_blocks(halved), r"what blocks\.0\.attn\.proj makes is not added to the tokens before it"),
    "no sum": (lambda: with_blocks(without_sum), r"should be used once within its block; it is \d times"),
    "fewer tokens": (lambda: with_blocks(fewer_tokens), r"blocks\.1\.norm1 is given other tokens"),
    "another order": (lambda: Reordered(reversed), r"blocks\.1\.norm1 is given other tokens"),
    "twice": (
        lambda: Reordered(lambda blocks: [*blocks, *blocks]),
        r"is given other tokens|two tensors of the file are",
    ),
}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", CHANGED)
def test_other_blocks_of_the_same_tensors_are_refused(name: str, exporter: str, tmp_path: Path) -> None:
    make, message = CHANGED[name]
    path = export(make(), tmp_path / "w.onnx", exporter, (20, 20))
    with pytest.raises(CheckpointError, match=message):
        load_model(path, device="cpu")


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_same_blocks_are_taken(exporter: str, tmp_path: Path) -> None:
    path = export(Reordered(iter), tmp_path / "w.onnx", exporter, (20, 20))
    assert load_model(path, device="cpu").spec.depth == 2
