"""timm's models with their config.json: the same tokens, attention and logits as timm's own model."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TimmWrapperConfig, TimmWrapperForImageClassification
from transformers.utils.logging import disable_progress_bar

from tests.vit_engine.weights.formats.support import assert_parity, pictures, randomise
from tests.vit_engine.weights.formats.timm_peers import (
    HEADS,
    NATIVE,
    OTHER,
    PATCH,
    assert_accounts_for,
    peer_of,
    rebuilt,
    saved,
    small,
)
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

disable_progress_bar()

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("vit_small_patch16_224", {}),
    "without bias of qkv": ("vit_base_patch16_224_miil", {}),
    "without classifier": ("vit_small_patch16_224", {"num_classes": 0}),
    "mean of patches, fc_norm": ("vit_small_patch16_224", {"global_pool": "avg"}),
    "mean of patches, norm": ("vit_small_patch16_224", {"global_pool": "avg", "fc_norm": False}),
    "CLS token, fc_norm": ("vit_small_patch16_224", {"fc_norm": True}),
    "registers with positions": ("vit_small_patch16_224", {"reg_tokens": 2}),
    "no positions": ("vit_small_patch16_224", {"pos_embed": "none", "reg_tokens": 2}),
    "GELU by tanh": ("vit_small_patch16_224", {"act_layer": "gelu_tanh"}),
    "DeiT": ("deit_small_patch16_224", {}),
    "DeiT distilled": ("deit_small_distilled_patch16_224", {}),
    "DeiT distilled without classifier": ("deit_small_distilled_patch16_224", {"num_classes": 0}),
    "DeiT-III": ("deit3_small_patch16_224", {}),
    "FlexiViT": ("flexivit_small", {}),
    "DINOv2": ("vit_small_patch14_dinov2", {}),
    "DINOv2 with registers": ("vit_small_patch14_reg4_dinov2", {"num_classes": 0}),
    "DINOv2 giant": ("vit_giant_patch14_dinov2", {"mlp_ratio": 3}),
    "CLIP": ("vit_base_patch16_clip_224", {}),
    "CLIP, QuickGELU": ("vit_base_patch16_clip_quickgelu_224", {}),
    "CLIP with another norm": ("vit_base_patch16_clip_224", {"norm_layer": "layernorm"}),
    "EVA": ("eva_large_patch14_196", {}),
}


@pytest.mark.parametrize("size", [NATIVE, OTHER], ids=["native", "other"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_parity(variant: str, size: tuple[int, int], tmp_path: Path) -> None:
    architecture, options = VARIANTS[variant]
    model = small(architecture, **options)
    loaded = load_model(saved(model, tmp_path), device="cpu")
    peer = peer_of(model, pictures(*size))
    if "without classifier" in variant and "distilled" in variant:
        peer = peer._replace(output=None)  # timm's mean of two features is what no classifier sees
    assert_parity(loaded, pictures(*size), peer)
    assert_accounts_for(loaded, model.state_dict())
    assert (loaded.report.format, loaded.report.heads_from) == ("timm", "num_heads in config.json")
    assert loaded.report.native_grid == (NATIVE[0] // PATCH, NATIVE[1] // PATCH)
    assert loaded.report.assumed == ()


# What the tensors do not show, and the tests above would: each makes a model that is another.
WRONG: dict[str, tuple[str, tuple[int, int], dict[str, Any]]] = {
    "resampling": ("ViT", OTHER, {"resampling": "bicubic"}),
    "resampling with registers": ("DINOv2 with registers", OTHER, {"resampling": "dino"}),
    "eps": ("ViT", NATIVE, {"norm_eps": 1e-5}),
    "eps of CLIP": ("CLIP", NATIVE, {"norm_eps": 1e-6}),
    "activation": ("CLIP", NATIVE, {"mlp": "quick_gelu"}),
    "activation by tanh": ("GELU by tanh", NATIVE, {"mlp": "gelu"}),
    "pooling": ("mean of patches, norm", NATIVE, {"pooling": "cls"}),
    "place of the norm": ("mean of patches, fc_norm", NATIVE, {"pooling": "mean"}),
    "heads": ("ViT", NATIVE, {"heads": 6}),
}


@pytest.mark.parametrize("detail", WRONG)
def test_parity_fails_with_a_wrong_detail(detail: str, tmp_path: Path) -> None:
    variant, size, change = WRONG[detail]
    architecture, options = VARIANTS[variant]
    model = small(architecture, **options)
    right = load_model(saved(model, tmp_path), device="cpu")
    wrong = rebuilt(right, **change)
    with pytest.raises(AssertionError):
        assert_parity(wrong, pictures(*size), peer_of(model, pictures(*size)))


def test_the_config_says_how_pictures_are_wanted_and_what_classes_are_called(tmp_path: Path) -> None:
    saved(small("vit_small_patch16_224"), tmp_path)
    spec = load_model(tmp_path, device="cpu").spec
    assert (spec.preprocessing.mean, spec.preprocessing.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert spec.preprocessing.interpolation == "bicubic"
    assert spec.class_names[:2] == ("class 0", "class 1")
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"] |= {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear"}
    config["label_names"] = ["ant", "bee", "cat", "dog", "elk"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    spec = load_model(tmp_path, device="cpu").spec
    assert (spec.preprocessing.mean, spec.preprocessing.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert spec.preprocessing.interpolation == "bilinear"
    assert spec.class_names == ("ant", "bee", "cat", "dog", "elk")
    for labels in ({"0": "a", "1": "b", "2": "c", "3": "d", "5": "f"}, {"ant": "a"}, "abcde", [1, 2, 3, 4, 5], []):
        (tmp_path / "config.json").write_text(json.dumps({**config, "label_names": labels}))
        assert load_model(tmp_path, device="cpu").spec.class_names[4] == "class 4"
    del config["label_names"]
    config["pretrained_cfg"]["label_names"] = {"1": "bee", "0": "ant", "2": "cat", "4": "elk", "3": "dog"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path, device="cpu").spec.class_names == ("ant", "bee", "cat", "dog", "elk")


def test_more_names_than_classes_are_refused(tmp_path: Path) -> None:
    saved(small("vit_small_patch16_224"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps({**config, "label_names": ["ant", "bee", "cat", "dog", "elk", "fox"]})
    )
    with pytest.raises(CheckpointError, match="6 classes are named, and its classifier has 5"):
        load_model(tmp_path, device="cpu")


def test_names_of_classes_without_a_classifier_name_nothing(tmp_path: Path) -> None:
    saved(small("vit_small_patch16_224", num_classes=0), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "label_names": ["ant", "bee"]}))
    assert load_model(tmp_path, device="cpu").spec.class_names == ()


def test_what_a_config_says_about_pictures_and_cannot_be_is_told(tmp_path: Path) -> None:
    saved(small("vit_small_patch16_224"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"] |= {"mean": None, "interpolation": "random"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.spec.preprocessing == Preprocessing()
    assert [sentence.split(" AugReg")[0] for sentence in loaded.report.assumed] == [
        "Pictures are normalised with ImageNet's mean and std.",
        "Pictures are resized with a bicubic filter in place of 'random'.",
    ]


def test_without_pooling_the_classifier_sees_the_cls_token_and_all_others(tmp_path: Path) -> None:
    model = small("vit_small_patch16_224", global_pool="")
    loaded = load_model(saved(model, tmp_path), device="cpu")
    peer = peer_of(model, pictures(*NATIVE))
    assert_parity(loaded, pictures(*NATIVE), peer._replace(output=peer.output[0, 0]))


def test_parity_of_a_model_that_transformers_has_wrapped(tmp_path: Path) -> None:
    given = {"depth": 2, "patch_size": 4, "img_size": NATIVE, "dynamic_img_size": True}
    config = TimmWrapperConfig(architecture="vit_tiny_patch16_224", model_args=given, num_labels=5)
    wrapper = TimmWrapperForImageClassification(config)
    randomise(wrapper.timm_model)
    wrapper.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    assert_parity(loaded, pictures(*OTHER), peer_of(wrapper.timm_model, pictures(*OTHER)))
    assert_accounts_for(loaded, wrapper.state_dict())
    assert (loaded.report.format, loaded.spec.heads) == ("timm", HEADS)


def test_heads_are_those_of_the_architecture_where_nothing_else_is_said(tmp_path: Path) -> None:
    options = {"embed_dim": 192, "num_heads": 3, "depth": 1}
    model = small("vit_tiny_patch16_224", **options)
    saved(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model_args"]["num_heads"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.spec.heads == HEADS
    assert loaded.report.heads_from == "the architecture vit_tiny_patch16_224 in config.json"
    config["architecture"] = "vit_small_patch16_224"  # which has 384 dimensions
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="does not say how many heads"):
        load_model(tmp_path, device="cpu")


def test_an_older_config_has_the_fields_of_the_picture_at_the_top(tmp_path: Path) -> None:
    model = small("vit_tiny_patch16_224", embed_dim=192, num_heads=3, depth=1, global_pool="avg", fc_norm=False)
    saved(model, tmp_path)
    older = {"architecture": "vit_tiny_patch16_224", "num_classes": 5, "global_pool": "avg"}
    older |= {"input_size": [3, *NATIVE], "interpolation": "bicubic", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    (tmp_path / "config.json").write_text(json.dumps({**older, "labels": ["a", "b", "c", "d", "e"]}))
    loaded = load_model(tmp_path, device="cpu")
    assert_parity(loaded, pictures(*OTHER), peer_of(model, pictures(*OTHER)))
    assert loaded.spec.preprocessing.mean == (0.1, 0.2, 0.3)
    assert loaded.spec.class_names == ("a", "b", "c", "d", "e")


def test_an_input_size_of_the_model_before_it_was_changed_gives_way_to_a_square(tmp_path: Path) -> None:
    model = small("vit_tiny_patch16_224", embed_dim=192, num_heads=3, depth=1, img_size=(20, 20))
    saved(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"]["input_size"] = [3, 28, 28]
    (tmp_path / "config.json").write_text(json.dumps(config))
    del config["model_args"]["img_size"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path, device="cpu").spec.native_size == (20, 20)
    config["model_args"]["img_size"] = [28, 28]  # which is certain
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointError, match=r"config\.json says pictures of \(28, 28\) px, and pos_embed has 26 rows"
    ):
        load_model(tmp_path, device="cpu")
