"""timm's models that are no plain Vision Transformers are refused, and the reason is named."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tests.vit_engine.weights.formats.support import assert_parity, pictures
from tests.vit_engine.weights.formats.timm_peers import HEADS, NATIVE, assert_accounts_for, peer_of, saved, small
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.formats.common.plain import is_square
from vit_engine.weights.formats.common.published import known_architecture
from vit_engine.weights.formats.timm import WHY_ATTENTION_POOL

SAFE = "model.safetensors"
BLOCK = {"embed_dim": 24, "depth": 2, "num_heads": HEADS}
# Made with timm's own code: (architecture, options, what the message must say).
UNUSUAL: list[tuple[str, dict[str, Any], str]] = [
    ("vit_base_patch16_siglip_224", BLOCK, "no CLS token"),
    ("vit_medium_patch16_reg4_gap_256", BLOCK, "no CLS token"),
    ("vit_small_patch16_224", {**BLOCK, "qk_norm": True}, r"normalised queries and keys .*: blocks\.0\.attn\.q_norm"),
    ("vit_small_patch16_224", {**BLOCK, "scale_mlp_norm": True}, r"within attention or MLP: blocks\.0\.mlp\.norm"),
    ("vit_small_patch16_224", {**BLOCK, "norm_layer": "rmsnorm"}, r"have no bias \(RMSNorm\)"),
    ("vit_small_patch16_224", {**BLOCK, "embed_norm_layer": "layernorm"}, "normalisation of the patch embedding"),
    ("vit_intern300m_patch14_448", {**BLOCK, "img_size": 28}, "no normalisation after the last block"),
    ("vit_small_patch16_18x2_224", BLOCK, "attention and MLP side by side"),
    ("vit_base_patch16_xp_224", BLOCK, "qk_norm"),
    ("vit_pwee_patch16_reg1_gap_256", BLOCK, "attention and MLP side by side"),
    ("vit_dwee_patch16_reg1_gap_256", {**BLOCK, "num_heads": 2}, "differential attention"),
    ("vit_tiny_r_s16_p8_224", BLOCK, "a stem of several layers"),
    ("vit_relpos_base_patch16_cls_224", BLOCK, "relative positions"),
    ("beit_base_patch16_224", BLOCK, "relative position biases"),
    ("eva02_tiny_patch14_224", BLOCK, "queries, keys and values of separate projections"),
    ("cait_xxs24_224", BLOCK, "talking heads"),
    ("convit_tiny", BLOCK, "gated attention"),
    ("naflexvit_base_patch16_gap", BLOCK, "NaFlexVit"),
    ("vit_small_patch16_dinov3", {**BLOCK, "img_size": 64}, "no pos_embed"),
    ("vit_small_patch16_rope_224", BLOCK, "no pos_embed"),
    ("vit_small_patch16_224", {**BLOCK, "pos_embed": "none", "global_pool": "avg"}, "no pos_embed"),
]
# As the names of their tensors do not tell.
HIDDEN = ["vit_small_patch16_rope_ape_224", "vit_pe_core_tiny_patch16_384"]


def save_bare(model: nn.Module, folder: Path) -> Path:
    torch.save(model.state_dict(), folder / "bare.pth")
    return folder / "bare.pth"


@pytest.mark.parametrize(("architecture", "options", "message"), UNUSUAL)
def test_what_tensors_show_is_refused_by_name(
    architecture: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = save_bare(timm.create_model(architecture, **options), tmp_path)
    with pytest.raises(CheckpointError, match=rf"bare\.pth: .*{message}"):
        load_model(path, heads=HEADS, device="cpu")


@pytest.mark.parametrize("architecture", [*HIDDEN, "vit_small_patch16_dinov3", "resnet18"])
def test_what_tensors_do_not_show_is_refused_by_the_architectures_name(architecture: str, tmp_path: Path) -> None:
    options = {} if architecture == "resnet18" else {**BLOCK, "img_size": 64}
    saved(timm.create_model(architecture, **options), tmp_path)
    with pytest.raises(CheckpointError, match=rf"no CLS token|config\.json calls it '{architecture}'"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("classes", [0, 5])
def test_a_bare_clip_is_refused_because_its_activation_is_nowhere_and_loads_as_a_known_model(
    tmp_path: Path, classes: int
) -> None:
    model = small("vit_base_patch16_clip_quickgelu_224", img_size=20, num_classes=classes)
    bare = save_bare(model, tmp_path)
    with pytest.raises(CheckpointError, match=r"bare\.pth: it normalises .* the activation .* put the config\.json"):
        load_model(bare, heads=HEADS, device="cpu")
    spec = load_model(saved(model, tmp_path / "with config"), device="cpu").spec
    loaded = load_model(spec, weights=bare, device="cpu")
    assert_parity(loaded, pictures(*NATIVE), peer_of(model, pictures(*NATIVE)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"global_pool": "max"}, r"got 'max' in config\.json"),
        ({"global_pool": "avgmax"}, r"got 'avgmax' in config\.json"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "got 'avg' in config.json, prefix tokens included"),
        ({"act_layer": "relu"}, "its activation must be one of gelu, .*; got 'relu'"),
        ({"act_layer": "silu"}, "its activation must be one of gelu, .*; got 'silu'"),
        ({"norm_layer": "layernorm2d"}, "its norm_layer must be 'layernorm'; got 'layernorm2d'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    changed = dict(options)
    norm = changed.pop("norm_layer", None)
    saved(small("vit_small_patch16_224", **changed), tmp_path)
    if norm:
        config = json.loads((tmp_path / "config.json").read_text())
        config["model_args"]["norm_layer"] = norm
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path, device="cpu")


def test_positions_that_are_lost_are_not_taken_for_none(tmp_path: Path) -> None:
    model = small("vit_small_patch16_224")
    saved(model, tmp_path)
    save_file({name: each for name, each in model.state_dict().items() if name != "pos_embed"}, tmp_path / SAFE)
    with pytest.raises(CheckpointError, match=r"no pos_embed, and no config\.json says that there are no positions"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize(("patches", "square"), [(-4, False), (0, False), (1, True), (24, False), (25, True)])
def test_squares(patches: int, square: bool) -> None:
    assert is_square(patches) is square


@pytest.mark.parametrize("key", ["model_args", "pretrained_cfg"])
def test_a_config_of_another_shape_is_refused(key: str, tmp_path: Path) -> None:
    saved(small("vit_small_patch16_224"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: [1]}))
    with pytest.raises(CheckpointError, match=rf"{key}, which came with it, must have names and values; got \[1\]"):
        load_model(tmp_path, device="cpu")


def test_attention_pooling_is_dropped_by_name_with_its_classifier(tmp_path: Path) -> None:
    model = small("vit_small_patch16_224", global_pool="map")
    loaded = load_model(saved(model, tmp_path), device="cpu")
    assert_parity(loaded, pictures(*NATIVE), peer_of(model, pictures(*NATIVE))._replace(output=None))
    gone = {name for name in model.state_dict() if name.startswith(("attn_pool.", "head."))}
    assert_accounts_for(loaded, model.state_dict(), dropped=gone)
    reasons = dict(loaded.report.dropped)
    assert reasons["attn_pool.latent"] == WHY_ATTENTION_POOL
    assert reasons["head.weight"] == "classifier behind attention pooling"
    assert loaded.spec.class_names == ()


def test_every_architecture_of_timm_is_known_or_not_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known ones are plain, and have the heads, the activation and the eps that timm builds them with."""
    built: dict[str, dict[str, Any]] = {}
    for module, maker in (
        (timm.models.vision_transformer, "_create_vision_transformer"),
        (timm.models.deit, "_create_deit"),
    ):
        monkeypatch.setattr(module, maker, lambda name, pretrained=False, **options: built.update({name: options}))
    theirs = {*timm.list_models(module="vision_transformer"), *timm.list_models(module="deit")}
    for name in sorted(theirs):
        timm.models.model_entrypoint(name)()
    special = {"block_fn", "attn_layer", "scale_attn_norm"}
    for name in timm.list_models():
        options = built.get(name, {})
        known = known_architecture(name, dim=options.get("embed_dim", 768))
        plain = name in theirs and options.get("class_token", True) and not special & options.keys()
        if not options.get("final_norm", True):
            continue  # refused by its tensors
        assert (known is not None) == plain, name
        if known is not None:
            norm = options.get("norm_layer")
            eps = norm.keywords["eps"] if norm else 1e-6
            act = options.get("act_layer", "gelu")
            said = (options.get("num_heads", 12), "gelu" if act is nn.SiLU else act, eps)
            assert (known.heads, known.mlp, known.norm_eps) == said, name
