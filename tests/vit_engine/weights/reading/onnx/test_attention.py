"""Attention that brings what the same weights make into heads in other ways."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch
from timm.layers import Attention
from torch import Tensor, nn

from tests.vit_engine.weights.formats.exports import EXPORTERS, export
from tests.vit_engine.weights.formats.support import pictures
from tests.vit_engine.weights.formats.timm_peers import small
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

Heads = Callable[[Attention, Tensor], tuple[Tensor, Tensor, Tensor]]


def with_heads(heads: Heads) -> nn.Module:
    model = small("vit_tiny_patch16_224", img_size=20, dynamic_img_size=False)
    for block in model.blocks:
        block.attn.forward = partial(attend, block.attn, heads=heads)
    return model


def attend(module: Attention, x: Tensor, *, heads: Heads, **_: object) -> Tensor:
    queries, keys, values = heads(module, x)
    weights = (module.scale * queries @ keys.transpose(-2, -1)).softmax(-1)
    return module.proj((weights @ values).transpose(1, 2).reshape(x.shape))


def projected(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As timm has it: (3, H, d)."""
    queries, keys, values = module.qkv(x).reshape(*x.shape[:2], 3, 3, 8).permute(2, 0, 3, 1, 4)
    return queries, keys, values


def heads_first(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(H, 3, d), where H is 3, too."""
    queries, keys, values = module.qkv(x).reshape(*x.shape[:2], 3, 3, 8).permute(3, 0, 2, 1, 4)
    return queries, keys, values


def heads_last(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(3, d, H)."""
    queries, keys, values = module.qkv(x).reshape(*x.shape[:2], 3, 8, 3).permute(2, 0, 4, 1, 3)
    return queries, keys, values


def other_heads(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Heads meet the keys of another."""
    queries, keys, values = projected(module, x)
    return torch.flip(queries, [1]), keys, values


def fewer_keys(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    queries, keys, values = projected(module, x)
    return queries, keys[:, :, 1:], values[:, :, 1:]


def scaled_values(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    queries, keys, values = projected(module, x)
    return queries, keys, 0.5 * values


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("heads", [heads_first, heads_last, other_heads, fewer_keys, scaled_values])
def test_heads_that_are_made_otherwise_are_refused(heads: Heads, exporter: str, tmp_path: Path) -> None:
    path = export(with_heads(heads), tmp_path / "w.onnx", exporter, (20, 20))
    with pytest.raises(CheckpointError, match="layer 0 brings queries, keys or values into heads in a way not known"):
        load_model(path, device="cpu")


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_heads_as_timm_makes_them_are_taken(exporter: str, tmp_path: Path) -> None:
    path = export(with_heads(projected), tmp_path / "w.onnx", exporter, (20, 20))
    assert load_model(path, device="cpu").spec.heads == 3


def of_embedding(module: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores are scaled by the width of all heads together, which the graph computes."""
    queries, keys, values = projected(module, x)
    return queries * (x.size(-1) / 8) ** -0.5, keys, values


def test_a_scale_of_another_width_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, and of what is deprecated
        torch.onnx.export(
            with_heads(of_embedding),
            (pictures(20, 20),),
            str(path),
            dynamo=False,
            input_names=["input"],
            dynamic_axes={"input": {0: "batch"}},
        )
    assert "Shape" in {node.op_type for node in onnx.load(path).graph.node}
    with pytest.raises(CheckpointError, match="layer 0 scales its scores by what is computed"):
        load_model(path, device="cpu")
