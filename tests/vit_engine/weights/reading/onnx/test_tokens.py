"""Models whose blocks are a plain Vision Transformer's, and are given other tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.vit_engine.weights.formats.exports import EXPORTERS, export
from tests.vit_engine.weights.formats.timm_peers import small
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

Step = Callable[[nn.Module, Tensor], Tensor]


class Embedded(nn.Module):
    """timm's, with an embedding of its own."""

    def __init__(self, embed: Step) -> None:
        super().__init__()
        self.model = small("vit_tiny_patch16_224", img_size=20, dynamic_img_size=False)
        self.embed = embed

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.model.blocks(self.embed(self.model, images))
        return self.model.head(self.model.norm(tokens)[:, 0])


def plain(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model.cls_token, model.patch_embed(images)], dim=1) + model.pos_embed


def normalised(model: nn.Module, images: Tensor) -> Tensor:
    """In the graph, which pictures would be normalised for once more."""
    return plain(model, (images - 0.5) / 0.5)


def mirrored(model: nn.Module, images: Tensor) -> Tensor:
    return plain(model, torch.flip(images, [3]))


def class_token_last(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model.patch_embed(images), model.cls_token], dim=1) + model.pos_embed


def by_columns(model: nn.Module, images: Tensor) -> Tensor:
    patches = model.patch_embed.proj(images).permute(0, 3, 2, 1).reshape(1, 25, 24)
    return torch.cat([model.cls_token, patches], dim=1) + model.pos_embed


def positions_taken_away(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model.cls_token, model.patch_embed(images)], dim=1) - model.pos_embed


def positions_doubled(model: nn.Module, images: Tensor) -> Tensor:
    return plain(model, images) + model.pos_embed


def positions_scaled(model: nn.Module, images: Tensor) -> Tensor:
    scale = images.mean().reshape(1, 1, 1)  # of the picture, so that no exporter folds it
    return torch.cat([model.cls_token, model.patch_embed(images)], dim=1) + scale * model.pos_embed


def scaled(model: nn.Module, images: Tensor) -> Tensor:
    return 2 * plain(model, images)


def squashed(model: nn.Module, images: Tensor) -> Tensor:
    return torch.tanh(plain(model, images))


def shifted(model: nn.Module, images: Tensor) -> Tensor:
    return plain(model, images) + images.mean()


def doubled(model: nn.Module, images: Tensor) -> Tensor:
    tokens = plain(model, images)
    return tokens + tokens


def fewer(model: nn.Module, images: Tensor) -> Tensor:
    return plain(model, images)[:, :-1]


def rolled(model: nn.Module, images: Tensor) -> Tensor:
    tokens = plain(model, images)
    return torch.cat([tokens[:, 1:], tokens[:, :1]], dim=1)


def one_left_out(model: nn.Module, images: Tensor) -> Tensor:
    tokens = plain(model, images)
    return torch.cat([tokens[:, :1], tokens[:, 2:]], dim=1)


def apart(model: nn.Module, images: Tensor) -> Tensor:
    """And together again, which changes nothing."""
    tokens = plain(model, images)
    return torch.cat([tokens[:, :1], tokens[:, 1:]], dim=1)


CHANGED = r"its graph changes tokens before the first block \("
REFUSED: dict[str, tuple[Step, str]] = {
    "normalised": (normalised, r"its graph changes pictures itself before it takes patches of them \((Div|Sub|Mul)"),
    "mirrored": (mirrored, r"its graph changes pictures itself before it takes patches of them \(Slice"),
    "class token last": (class_token_last, r"its class token, or its registers, stand behind the patches"),
    "positions taken away": (positions_taken_away, CHANGED + "Sub"),
    "positions doubled": (positions_doubled, "positions should be added to the patches once; they are 2 times"),
    "positions scaled": (positions_scaled, r"its graph changes positions before it adds them \(Mul"),
    "scaled": (scaled, CHANGED + "Mul"),
    "squashed": (squashed, CHANGED + "Tanh"),
    "shifted": (shifted, r"its graph changes positions before it adds them \(ReduceMean"),
    "doubled": (doubled, CHANGED + "Add"),
    "fewer": (fewer, CHANGED + "Slice"),
    "rolled": (rolled, CHANGED + "Slice"),
    "one left out": (one_left_out, CHANGED + "Slice"),
    "by columns": (by_columns, r"its patches are not taken row by row"),
}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", REFUSED)
def test_other_tokens_are_refused(name: str, exporter: str, tmp_path: Path) -> None:
    embed, message = REFUSED[name]
    path = export(Embedded(embed), tmp_path / "w.onnx", exporter, (20, 20))
    with pytest.raises(CheckpointError, match=message):
        load_model(path, device="cpu")


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("embed", [plain, apart])
def test_the_same_tokens_are_taken(embed: Step, exporter: str, tmp_path: Path) -> None:
    path = export(Embedded(embed), tmp_path / "w.onnx", exporter, (20, 20))
    assert load_model(path, device="cpu").spec.depth == 2
