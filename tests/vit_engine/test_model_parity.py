"""Numerical parity with torchvision's ViT-B/16, weight for weight."""

import re

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import vit_b_16

from vit_engine.model import VisionTransformer
from vit_engine.presets import vit_base

RENAMED = (
    ("class_token", "cls_token"),
    ("conv_proj", "patch_embed.proj"),
    ("encoder.pos_embedding", "pos_embed"),
    ("encoder.layers.encoder_layer_", "blocks."),
    ("encoder.ln.", "norm."),
    ("heads.head", "head"),
    (".ln_1.", ".norm1."),
    (".ln_2.", ".norm2."),
    (".self_attention.in_proj_", ".attn.qkv."),
    (".self_attention.out_proj.", ".attn.proj."),
    (".mlp.0.", ".mlp.fc1."),
    (".mlp.3.", ".mlp.fc2."),
)


def renamed(key: str) -> str:
    for old, new in RENAMED:
        key = key.replace(old, new)
    return key


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, VisionTransformer]:
    """Theirs and ours with the same random weights, of a size that makes attention uneven."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        theirs, ours = vit_b_16(weights=None), vit_base(class_count=1000)
    state = {name: torch.randn(t.shape, generator=generator) * 0.05 for name, t in theirs.state_dict().items()}
    for name, tensor in state.items():
        if re.search(r"\.ln(_1|_2)?\.weight", name):
            tensor.add_(1)
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict({renamed(name): tensor for name, tensor in state.items()}, assign=True)
    return theirs.eval().requires_grad_(False), ours.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def theirs_computed(pair: tuple[nn.Module, VisionTransformer], images: Tensor) -> tuple[Tensor, Tensor]:
    """Torchvision's logits and the weights of its last layer, from one pass."""
    theirs, _ = pair
    tokens = torch.cat([theirs.class_token, theirs._process_input(images)], dim=1) + theirs.encoder.pos_embedding
    layers = theirs.encoder.layers
    before_last = layers[:-1](tokens)
    x = layers[-1].ln_1(before_last)
    _, weights = layers[-1].self_attention(x, x, x, need_weights=True, average_attn_weights=False)
    return theirs.heads(theirs.encoder.ln(layers[-1](before_last))[:, 0]), weights


def test_class_logits_are_torchvisions(
    pair: tuple[nn.Module, VisionTransformer], images: Tensor, theirs_computed: tuple[Tensor, Tensor]
) -> None:
    expected, _ = theirs_computed
    assert expected.std() > 0.1
    torch.testing.assert_close(pair[1](images), expected, rtol=1e-4, atol=1e-4)


def test_the_last_selfattention_is_torchvisions(
    pair: tuple[nn.Module, VisionTransformer], images: Tensor, theirs_computed: tuple[Tensor, Tensor]
) -> None:
    _, expected = theirs_computed
    assert expected.max() > 10 / expected.shape[-1]
    torch.testing.assert_close(pair[1].get_last_selfattention(images), expected, rtol=1e-3, atol=1e-5)
