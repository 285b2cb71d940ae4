"""DINOv3's own files: tokens and attention of a peer with the same weights; heads are read from the periods."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from tests.vit_engine.weights.formats.hugging_face import OTHER_SIZE, SMALL, assert_all_keys_accounted, hf_peer
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model
from vit_engine.weights.formats.dinov3 import masked

State = dict[str, Tensor]
PLAIN = {**SMALL, "intermediate_size": 40, "num_register_tokens": 3}
GATED = {**PLAIN, "use_gated_mlp": True, "hidden_act": "silu"}


def dinov3(**options: object) -> DINOv3ViTModel:
    return randomise(DINOv3ViTModel(DINOv3ViTConfig(**{**PLAIN, **options})))


MODELS = {
    "plain": dinov3,
    "gated": lambda: dinov3(**GATED),
    "no biases of queries, keys and values": lambda: dinov3(**GATED, query_bias=False, value_bias=False),
    "another base, no registers": lambda: dinov3(rope_theta=30.0, num_register_tokens=0),
}


def original_state(model: DINOv3ViTModel) -> State:
    """The same weights with the names of facebookresearch/dinov3; biases of keys are there, and masked."""
    theirs, own = model.state_dict(), {}
    own["cls_token"] = theirs["embeddings.cls_token"]
    own["mask_token"] = theirs["embeddings.mask_token"][0]
    if model.config.num_register_tokens:
        own["storage_tokens"] = theirs["embeddings.register_tokens"]
    own["rope_embed.periods"] = 1 / model.rope_embeddings.inv_freq
    for kind in ("weight", "bias"):
        own[f"patch_embed.proj.{kind}"] = theirs[f"embeddings.patch_embeddings.{kind}"]
        own[f"norm.{kind}"] = theirs[f"norm.{kind}"]
    for layer in range(model.config.num_hidden_layers):
        own |= {f"blocks.{layer}.{name}": tensor for name, tensor in _block(theirs, f"model.layer.{layer}.").items()}
    return own


def _block(theirs: State, at: str) -> State:
    own = {f"ls{number}.gamma": theirs[f"{at}layer_scale{number}.lambda1"] for number in (1, 2)}
    own["attn.qkv.weight"] = torch.cat([theirs[f"{at}attention.{part}_proj.weight"] for part in "qkv"])
    if f"{at}attention.q_proj.bias" in theirs:
        queries, values = (theirs[f"{at}attention.{part}_proj.bias"] for part in "qv")
        own["attn.qkv.bias"] = torch.cat([queries, torch.full((24,), 9.0), values])
        own["attn.qkv.bias_mask"] = torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(24)
    for kind in ("weight", "bias"):
        own[f"attn.proj.{kind}"] = theirs[f"{at}attention.o_proj.{kind}"]
        own |= {f"norm{number}.{kind}": theirs[f"{at}norm{number}.{kind}"] for number in (1, 2)}
        if f"{at}mlp.gate_proj.{kind}" in theirs:
            for number, part in enumerate(("gate", "up", "down"), start=1):
                own[f"mlp.w{number}.{kind}"] = theirs[f"{at}mlp.{part}_proj.{kind}"]
        else:
            own[f"mlp.fc1.{kind}"] = theirs[f"{at}mlp.up_proj.{kind}"]
            own[f"mlp.fc2.{kind}"] = theirs[f"{at}mlp.down_proj.{kind}"]
    return own


def peer_of(model: DINOv3ViTModel, images: Tensor) -> Peer:
    return hf_peer(model, model.model.layer, images, lambda output: output.pooler_output)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    model = MODELS[kind]()
    state = original_state(model)
    torch.save(state, tmp_path / "dinov3.pth")
    loaded = load_model(tmp_path / "dinov3.pth", device="cpu")
    assert_parity(loaded, pictures(*size), peer_of(model, pictures(*size)))
    assert_all_keys_accounted(loaded, set(state))
    assert (loaded.report.format, loaded.report.native_grid, loaded.report.resampling) == ("DINOv3", None, "")
    assert (loaded.spec.heads, loaded.report.heads_from) == (3, "the periods of its rotary positions")
    assert [key for key, _ in loaded.report.dropped] == ["mask_token"]
    assert "eps 1e-5" in loaded.report.assumed[0]


@pytest.mark.parametrize("of_keys", [float("nan"), float("inf"), 5.0])
@pytest.mark.parametrize("mask", ["as it was made", "never set"])
def test_what_the_mask_hides_may_be_anything(of_keys: float, mask: str, tmp_path: Path) -> None:
    model = dinov3()
    state = original_state(model)
    for layer in range(2):
        state[f"blocks.{layer}.attn.qkv.bias"][24:48] = of_keys
        if mask == "never set":
            state[f"blocks.{layer}.attn.qkv.bias_mask"][:] = float("nan")
    torch.save(state, tmp_path / "dinov3.pth")
    loaded = load_model(tmp_path / "dinov3.pth", device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert ("blocks.1.attn.qkv.bias_mask", "blocks.1.attn.qkv.bias") in loaded.report.converted


def test_a_mask_is_multiplied_into_the_bias() -> None:
    bias = torch.tensor([1.0, 2.0, 3.0, float("nan"), 5.0, 6.0])
    assert masked(bias, torch.tensor([1.0, 1.0, 0.0, 0.0, 0.5, 1.0])).tolist() == [1, 2, 0, 0, 2.5, 6]
    assert masked(bias, torch.full((6,), float("nan"))).tolist() == [1, 2, 0, 0, 5, 6]


def test_a_mask_of_another_length_is_refused(tmp_path: Path) -> None:
    state = original_state(dinov3())
    state["blocks.1.attn.qkv.bias_mask"] = torch.ones(71)
    torch.save(state, tmp_path / "dinov3.pth")
    with pytest.raises(CheckpointError, match=r"'blocks\.1\.attn\.qkv\.bias' cannot be made of .*\(72,\).*\(71,\)"):
        load_model(tmp_path / "dinov3.pth", device="cpu")


def test_of_a_training_run_the_teachers_backbone_is_taken(tmp_path: Path) -> None:
    model = dinov3()
    state = {f"backbone.{name}": tensor for name, tensor in original_state(model).items()}
    state |= {f"backbone.local_cls_norm.{kind}": torch.ones(24) for kind in ("weight", "bias")}
    state |= {"dino_head.mlp.0.weight": torch.ones(5, 24), "ibot_head.last_layer.weight": torch.ones(7, 5)}
    torch.save({"teacher": state}, tmp_path / "teacher_checkpoint.pth")
    loaded = load_model(tmp_path / "teacher_checkpoint.pth", device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert_all_keys_accounted(loaded, set(state))
    assert "small crops" in dict(loaded.report.dropped)["backbone.local_cls_norm.weight"]


def test_parity_of_the_hubs_linear_classifier(tmp_path: Path) -> None:
    model = dinov3()
    head = randomise(torch.nn.Linear(48, 5))
    state = {f"backbone.{name}": tensor for name, tensor in original_state(model).items()}
    state |= {f"linear_head.{name}": tensor for name, tensor in head.state_dict().items()}
    torch.save(state, tmp_path / "classifier.pth")
    loaded = load_model(tmp_path / "classifier.pth", device="cpu")
    peer = peer_of(model, pictures(*OTHER_SIZE))
    normed = model.norm(peer.tokens[-1])
    seen = torch.cat([normed[0], normed[-21:].mean(dim=0)])  # 7×3 patches
    assert_parity(loaded, pictures(*OTHER_SIZE), peer._replace(output=head(seen)))
    assert_all_keys_accounted(loaded, set(state))


def test_sizes_and_the_preparation_of_pictures_are_the_familys(tmp_path: Path) -> None:
    torch.save(original_state(dinov3()), tmp_path / "dinov3.pth")
    spec = load_model(tmp_path / "dinov3.pth", device="cpu").spec
    assert (spec.native_size, spec.preprocessing) == ((224, 224), Preprocessing(interpolation="bilinear"))


def test_a_patch_size_that_does_not_divide_the_familys_size(tmp_path: Path) -> None:
    model = dinov3(patch_size=5)
    torch.save(original_state(model), tmp_path / "dinov3.pth")
    assert load_model(tmp_path / "dinov3.pth", device="cpu").spec.native_size == (220, 220)


def test_patches_of_no_pixels_are_refused(tmp_path: Path) -> None:
    torch.save({**original_state(dinov3()), "patch_embed.proj.weight": torch.ones(24, 3, 0, 0)}, tmp_path / "d.pth")
    with pytest.raises(CheckpointError, match=r"patch_embed\.proj\.weight"):
        load_model(tmp_path / "d.pth", device="cpu")


def test_a_norm_of_the_cls_token_alone_is_refused(tmp_path: Path) -> None:
    state = original_state(dinov3())
    state |= {"cls_norm.weight": torch.ones(24), "cls_norm.bias": torch.ones(24)}
    torch.save(state, tmp_path / "dinov3.pth")
    with pytest.raises(CheckpointError, match=r"Unexpected: \['cls_norm.bias', 'cls_norm.weight'\]"):
        load_model(tmp_path / "dinov3.pth", device="cpu")


def test_parity_notices_other_periods(tmp_path: Path) -> None:
    model = dinov3()
    state = original_state(model)
    state["rope_embed.periods"] = state["rope_embed.periods"] * 1.01
    torch.save(state, tmp_path / "dinov3.pth")
    loaded = load_model(tmp_path / "dinov3.pth", device="cpu")
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))


def test_parity_notices_another_eps(tmp_path: Path) -> None:
    model = dinov3(layer_norm_eps=1e-2)
    torch.save(original_state(model), tmp_path / "dinov3.pth")
    loaded = load_model(tmp_path / "dinov3.pth", device="cpu")
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        (torch.ones(5), "5 rotary periods are of heads of 20 dimensions, which 24 are no multiple of"),
        (torch.ones(0), "0 rotary periods"),
    ],
)
def test_periods_of_other_dimensions_are_refused(periods: Tensor, message: str, tmp_path: Path) -> None:
    torch.save({**original_state(dinov3()), "rope_embed.periods": periods}, tmp_path / "dinov3.pth")
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path / "dinov3.pth", device="cpu")


def test_other_heads_than_those_of_the_periods_are_refused(tmp_path: Path) -> None:
    torch.save(original_state(dinov3()), tmp_path / "dinov3.pth")
    with pytest.raises(CheckpointError, match=r"has 3 heads \(from the periods of its rotary positions\); got heads=6"):
        load_model(tmp_path / "dinov3.pth", heads=6, device="cpu")
