"""OpenAI's CLIP files: tokens and attention of a peer with the same weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from tests.vit_engine.weights.formats.hugging_face import OTHER_SIZE, SMALL, TEXT, assert_all_keys_accounted, hf_peer
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

State = dict[str, Tensor]


def clip(**vision: object) -> CLIPModel:
    sizes = {key: value for key, value in SMALL.items() if key != "attn_implementation"}
    config = CLIPConfig(
        vision_config={**sizes, "intermediate_size": 40, **vision},
        text_config=TEXT,
        projection_dim=9,
        attn_implementation="eager",
    )
    return randomise(CLIPModel(config))


def original_state(model: CLIPModel) -> State:
    """The same weights with the names of openai/CLIP, both towers."""
    theirs = model.state_dict()
    own = {f"visual.{name}": tensor for name, tensor in _tower(theirs, "vision_model.", 2).items()}
    own |= _tower(theirs, "text_model.", 1)
    for kind in ("weight", "bias"):
        own[f"visual.ln_pre.{kind}"] = theirs[f"vision_model.pre_layrnorm.{kind}"]
        own[f"visual.ln_post.{kind}"] = theirs[f"vision_model.post_layernorm.{kind}"]
        own[f"ln_final.{kind}"] = theirs[f"text_model.final_layer_norm.{kind}"]
    return own | {
        "visual.class_embedding": theirs["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": theirs["vision_model.embeddings.patch_embedding.weight"],
        "visual.proj": theirs["visual_projection.weight"].T,
        "token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
        "text_projection": theirs["text_projection.weight"].T,
        "logit_scale": theirs["logit_scale"],
    }


def _tower(theirs: State, at: str, layers: int) -> State:
    """What both towers have."""
    own = {"positional_embedding": theirs[f"{at}embeddings.position_embedding.weight"]}
    for layer in range(layers):
        to, there = f"transformer.resblocks.{layer}.", f"{at}encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            attention = [theirs[f"{there}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            own[f"{to}attn.in_proj_{kind}"] = torch.cat(attention)
            own[f"{to}attn.out_proj.{kind}"] = theirs[f"{there}self_attn.out_proj.{kind}"]
            own[f"{to}mlp.c_fc.{kind}"] = theirs[f"{there}mlp.fc1.{kind}"]
            own[f"{to}mlp.c_proj.{kind}"] = theirs[f"{there}mlp.fc2.{kind}"]
            own |= {f"{to}ln_{number}.{kind}": theirs[f"{there}layer_norm{number}.{kind}"] for number in (1, 2)}
    return own


def peer_of(model: CLIPModel, images: Tensor) -> Peer:
    tower = model.vision_model
    return hf_peer(
        tower, tower.encoder.layers, images, lambda output: output.pooler_output, interpolate_pos_encoding=True
    )


def visual_alone(state: State) -> State:
    """As model.visual.state_dict() is."""
    return {name.removeprefix("visual."): tensor for name, tensor in state.items() if name.startswith("visual.")}


def visual_with_prefix(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if name.startswith("visual.")}


def jit_archive(state: State) -> State:
    """OpenAI's own archives hold three sizes as tensors, too."""
    sizes = {"input_resolution": 20, "context_length": 7, "vocab_size": 50}
    return {**state, **{name: torch.tensor(size) for name, size in sizes.items()}}


@pytest.mark.parametrize("shape", [dict, visual_alone, visual_with_prefix, jit_archive])
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(shape, size: tuple[int, int], tmp_path: Path) -> None:
    model = clip()
    state = shape(original_state(model))
    torch.save(state, tmp_path / "clip.pt")
    loaded = load_model(tmp_path / "clip.pt", heads=3, device="cpu")
    assert_parity(loaded, pictures(*size), peer_of(model, pictures(*size)))
    assert_all_keys_accounted(loaded, set(state))
    assert (loaded.report.format, loaded.report.native_grid, loaded.report.resampling) == (
        "OpenAI CLIP",
        (5, 5),
        "bicubic",
    )
    assert (loaded.spec.mlp, loaded.spec.norm_eps) == ("quick_gelu", 1e-5)
    assert (loaded.spec.pre_norm, loaded.spec.patch_bias) == (True, False)


def test_the_text_tower_is_dropped_and_what_was_assumed_is_said(tmp_path: Path) -> None:
    torch.save(original_state(clip()), tmp_path / "clip.pt")
    report = load_model(tmp_path / "clip.pt", heads=3, device="cpu").report
    why = dict(report.dropped)
    for key in ("transformer.resblocks.0.attn.in_proj_weight", "positional_embedding", "ln_final.bias"):
        assert "text tower" in why[key]
    assert "shares with texts" in why["visual.proj"]
    assert not any(key.startswith("visual.") for key in why if key != "visual.proj")
    assert "QuickGELU" in report.assumed[0]
    assert "open_clip" in report.assumed[0]


def test_a_configuration_beside_it_is_believed(tmp_path: Path) -> None:
    """So open_clip's models with a plain GELU can be looked at, once their config.json is there."""
    model = clip(hidden_act="gelu", layer_norm_eps=1e-3)
    torch.save(original_state(model), tmp_path / "pytorch_model.bin")
    model.config.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert (loaded.report.format, loaded.report.assumed) == ("OpenAI CLIP", ())
    assert (loaded.spec.heads, loaded.report.heads_from) == (3, "config.json")


def test_parity_notices_a_plain_gelu(tmp_path: Path) -> None:
    model = clip(hidden_act="gelu")
    torch.save(original_state(model), tmp_path / "clip.pt")
    loaded = load_model(tmp_path / "clip.pt", heads=3, device="cpu")
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))


def test_half_precision_as_openai_saves_it(tmp_path: Path) -> None:
    model = clip()
    state = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in original_state(model).items()}
    torch.save(state, tmp_path / "clip.pt")
    loaded = load_model(tmp_path / "clip.pt", heads=3, device="cpu")
    for tensor in model.state_dict().values():
        if tensor.ndim > 1:
            tensor.copy_(tensor.half().float())
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))


def test_a_configuration_of_another_model_lies_there_by_chance(tmp_path: Path) -> None:
    model = clip()
    torch.save(original_state(model), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text('{"model_type": "vit", "num_attention_heads": 6, "hidden_act": "gelu"}')
    loaded = load_model(tmp_path, heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert "QuickGELU" in loaded.report.assumed[0]


def test_it_has_a_mean_and_deviation_of_its_own(tmp_path: Path) -> None:
    torch.save(original_state(clip()), tmp_path / "clip.pt")
    preprocessing = load_model(tmp_path / "clip.pt", heads=3, device="cpu").spec.preprocessing
    assert preprocessing.mean == (0.48145466, 0.4578275, 0.40821073)
    assert preprocessing.std == (0.26862954, 0.26130258, 0.27577711)


def bare_tower(dim: int, layers: int) -> State:
    """As much of a visual transformer as shows what size it has."""
    return {
        "visual.class_embedding": torch.zeros(dim),
        "visual.positional_embedding": torch.zeros(5, dim),
        "visual.conv1.weight": torch.zeros(dim, 3, 1, 1),
        "visual.ln_pre.weight": torch.zeros(dim),
        "visual.transformer.resblocks.0.mlp.c_fc.weight": torch.zeros(4 * dim, dim),
        **{f"visual.transformer.resblocks.{layer}.ln_1.weight": torch.zeros(dim) for layer in range(layers)},
    }


def test_heads_are_asked_for_with_what_published_models_have(tmp_path: Path) -> None:
    torch.save(bare_tower(768, 12), tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="Published OpenAI CLIP models of 768 dimensions and 12 layers have 12"):
        load_model(tmp_path / "b.pt", device="cpu")


def test_heads_are_asked_for(tmp_path: Path) -> None:
    torch.save(original_state(clip()), tmp_path / "clip.pt")
    with pytest.raises(CheckpointError, match=r"does not say how many heads it has.*pass heads=\."):
        load_model(tmp_path / "clip.pt", device="cpu")


@pytest.mark.parametrize(("dim", "layers"), [(1280, 32), (1408, 40), (1664, 48)])
def test_sizes_that_openai_did_not_publish_are_refused_for_their_activation(
    dim: int, layers: int, tmp_path: Path
) -> None:
    torch.save(bare_tower(dim, layers), tmp_path / "open_clip.pt")
    with pytest.raises(CheckpointError, match=rf"no CLIP of {dim} dimensions and {layers} layers.*config\.json beside"):
        load_model(tmp_path / "open_clip.pt", heads=16, device="cpu")


def open_clip_folder(folder: Path, *, name: str = "open_clip_pytorch_model.bin", **changes: object) -> CLIPModel:
    """As open_clip's save_for_hf leaves it: 24 dimensions, heads of 8, a plain GELU."""
    model = clip(hidden_act="quick_gelu" if changes.get("quick_gelu") else "gelu")
    vision = {"image_size": 20, "layers": 2, "width": 24, "patch_size": 4, "head_width": 8}
    config = {
        "model_cfg": {"embed_dim": 9, "vision_cfg": vision, "text_cfg": {}, **changes},
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "interpolation": "bilinear"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {key: tensor.contiguous() for key, tensor in original_state(model).items()}
    save_file(state, folder / name) if name.endswith("safetensors") else torch.save(state, folder / name)
    return model


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"])
@pytest.mark.parametrize("changes", [{}, {"quick_gelu": True}])
def test_open_clips_folder_says_what_no_tensor_shows(name: str, changes: dict[str, object], tmp_path: Path) -> None:
    model = open_clip_folder(tmp_path, name=name, **changes)
    for path in (tmp_path, tmp_path / name):
        loaded = load_model(path, device="cpu")
        assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))
        assert (loaded.spec.heads, loaded.report.heads_from) == (3, "open_clip_config.json")
        assert (loaded.spec.mlp, loaded.report.assumed) == ("quick_gelu" if changes else "gelu", ())
        assert loaded.report.resampling == "antialias"
        assert loaded.spec.preprocessing == Preprocessing((0.5, 0.4, 0.3), (0.2, 0.2, 0.1), "bilinear")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, r"no tensor shows\. Put the open_clip_config\.json"),
        ({"preprocess_cfg": {}}, r"with its model_cfg and vision_cfg"),
        ({"model_cfg": {"vision_cfg": {"layers": [3, 4, 6, 3]}}}, r"must be of a Vision Transformer .*\[3, 4, 6, 3\]"),
        ({"model_cfg": {"vision_cfg": {"width": 24, "head_width": 7}}}, "width 24, head_width 7"),
        ({"model_cfg": {"vision_cfg": {"width": 32, "head_width": 8}}}, "has patch_size 16, its tensors"),
    ],
)
def test_open_clips_file_without_a_configuration_that_fits_is_refused(
    config: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    open_clip_folder(tmp_path)
    path = tmp_path / "open_clip_config.json"
    path.unlink() if config is None else path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path, heads=3, device="cpu")
