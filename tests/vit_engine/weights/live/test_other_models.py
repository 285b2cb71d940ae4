"""Modules that are no plain Vision Transformers, in memory: each is refused by what it is or has."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import transformers
from torch import nn

from tests.vit_engine.weights.formats.hugging_face import SMALL, TEXT
from vit_engine.errors import CheckpointError
from vit_engine.weights import inspect_checkpoint, load_model

SIZES = {key: value for key, value in SMALL.items() if key != "attn_implementation"}
PLAIN = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2}


def of_timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, **options)


def of_transformers(name: str, **options: Any) -> Callable[[], nn.Module]:
    model = getattr(transformers, name)
    return lambda: model(model.config_class(**options))


REFUSED = {
    "qk_norm": (of_timm("vit_tiny_patch16_224", qk_norm=True, **PLAIN), r"qk_norm\): blocks\.0\.attn\.q_norm\.weight"),
    "SigLIP of timm": (of_timm("vit_base_patch16_siglip_224", **PLAIN), "no CLS token"),
    "patches alone": (
        of_timm("vit_tiny_patch16_224", class_token=False, global_pool="avg", **PLAIN),
        "it has no CLS token",
    ),
    "RMSNorm": (of_timm("vit_tiny_patch16_224", norm_layer="rmsnorm", **PLAIN), "no bias \\(RMSNorm\\)"),
    "other pooling": (
        of_timm("vit_tiny_patch16_224", global_pool="max", fc_norm=False, **PLAIN),
        r"its classifier must see the CLS token .* got 'max' in the module",
    ),
    "EVA-02": (of_timm("eva02_tiny_patch14_224", depth=1), r"separate projections: blocks\.0\.attn\.q_bias"),
    "rotary positions": (of_timm("vit_small_patch16_rope_224", depth=1), "it may rotate queries and keys"),
    "NaFlexViT": (of_timm("naflexvit_base_patch16_gap", depth=1, embed_dim=24, num_heads=2), "a NaFlexVit"),
    "SAM": (of_timm("samvit_base_patch16_224", depth=1, embed_dim=24, num_heads=2), r"relative position.*rel_pos_h"),
    "BEiT of timm": (
        of_timm("beit_base_patch16_224", depth=1, embed_dim=24, num_heads=2),
        r"relative position biases .*blocks\.0\.attn\.relative_position_bias_table",
    ),
    "Swin": (
        of_transformers("SwinModel", image_size=32, patch_size=4, embed_dim=8, depths=[1], num_heads=[2]),
        "relative position biases",
    ),
    "ConvNeXt": (of_timm("convnext_atto"), "a convolutional network"),
    "ResNet": (of_timm("resnet18"), "a convolutional network"),
    "SigLIP": (of_transformers("SiglipVisionModel", **SIZES), r"a ViT without a CLS token \(SigLIP"),
    "a type of transformers that is not known": (of_transformers("IJepaModel", **SIZES), "model type 'ijepa'"),
    "text": (of_transformers("CLIPTextModel", **TEXT), "a text model"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_by_what_it_is(kind: str) -> None:
    make, message = REFUSED[kind]
    model = make()
    for use in (load_model, inspect_checkpoint):
        with pytest.raises(CheckpointError, match=rf"{type(model).__name__} in memory: .*{message}"):
            use(model)
