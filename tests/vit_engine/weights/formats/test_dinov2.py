"""DINOv2's own files: tokens and attention of a peer with the same weights, positions resampled as DINOv2 does it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel, PreTrainedModel

from tests.vit_engine.weights.formats.bicubic import resampled
from tests.vit_engine.weights.formats.hugging_face import OTHER_SIZE, SMALL, assert_all_keys_accounted, hf_peer
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

State = dict[str, Tensor]
SIZE = {**SMALL, "num_hidden_layers": 4}


def plain() -> PreTrainedModel:
    return randomise(Dinov2Model(Dinov2Config(**SIZE)))


def gated() -> PreTrainedModel:
    return randomise(Dinov2Model(Dinov2Config(**SIZE, use_swiglu_ffn=True)))


def with_registers() -> PreTrainedModel:
    return randomise(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZE, num_register_tokens=3)))


def gated_with_registers() -> PreTrainedModel:
    return randomise(
        Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZE, num_register_tokens=3, use_swiglu_ffn=True))
    )


MODELS = {"plain": plain, "gated": gated, "registers": with_registers, "gated, registers": gated_with_registers}


def original_state(model: PreTrainedModel) -> State:
    """The same weights with the names of facebookresearch/dinov2."""
    theirs, own = model.state_dict(), {}
    own["cls_token"] = theirs["embeddings.cls_token"]
    own["pos_embed"] = theirs["embeddings.position_embeddings"]
    own["mask_token"] = theirs["embeddings.mask_token"]
    if "embeddings.register_tokens" in theirs:
        own["register_tokens"] = theirs["embeddings.register_tokens"]
    for kind in ("weight", "bias"):
        own[f"patch_embed.proj.{kind}"] = theirs[f"embeddings.patch_embeddings.projection.{kind}"]
        own[f"norm.{kind}"] = theirs[f"layernorm.{kind}"]
    for layer in range(model.config.num_hidden_layers):
        own |= {f"blocks.{layer}.{name}": tensor for name, tensor in _block(theirs, f"encoder.layer.{layer}.").items()}
    return own


def _block(theirs: State, at: str) -> State:
    own = {f"ls{number}.gamma": theirs[f"{at}layer_scale{number}.lambda1"] for number in (1, 2)}
    for kind in ("weight", "bias"):
        own[f"attn.qkv.{kind}"] = torch.cat([theirs[f"{at}attention.{part}_proj.{kind}"] for part in "qkv"])
        own[f"attn.proj.{kind}"] = theirs[f"{at}attention.o_proj.{kind}"]
        own |= {f"norm{number}.{kind}": theirs[f"{at}norm{number}.{kind}"] for number in (1, 2)}
        if f"{at}mlp.fc1.{kind}" in theirs:
            own |= {f"mlp.fc{number}.{kind}": theirs[f"{at}mlp.fc{number}.{kind}"] for number in (1, 2)}
        else:
            own[f"mlp.w12.{kind}"] = torch.cat([theirs[f"{at}mlp.{part}_proj.{kind}"] for part in ("gate", "up")])
            own[f"mlp.w3.{kind}"] = theirs[f"{at}mlp.down_proj.{kind}"]
    return own


def chunked(state: State, chunks: int) -> State:
    """As models are saved that were cut for sharded training: blocks.CHUNK.LAYER, layers counted through."""
    return {
        f"blocks.{int(name.split('.')[1]) // (4 // chunks)}.{name.removeprefix('blocks.')}"
        if name.startswith("blocks.")
        else name: tensor
        for name, tensor in state.items()
    }


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    """With positions as DINOv2's hub sets them up: an offset of 0.1 patch, or with registers antialiasing."""
    registers = isinstance(model, Dinov2WithRegistersModel)
    grid = (images.shape[2] // 4, images.shape[3] // 4)
    positions = model.embeddings.position_embeddings
    if grid != (5, 5):
        positions = resampled(positions, 5, grid, offset=0.0 if registers else 0.1, antialias=registers)
    model.embeddings.interpolate_pos_encoding = lambda *_: positions
    return hf_peer(model, model.encoder.layer, images, lambda output: output.pooler_output)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE, (12, 36)])
def test_parity(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    model = MODELS[kind]()
    state = original_state(model)
    torch.save(state, tmp_path / "dinov2.pth")
    loaded = load_model(tmp_path / "dinov2.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(*size), peer_of(model, pictures(*size)))
    assert_all_keys_accounted(loaded, set(state))
    assert (loaded.report.format, loaded.report.native_grid) == ("DINOv2", (5, 5))
    assert loaded.report.resampling == ("antialias" if "registers" in kind else "dino")
    assert [key for key, _ in loaded.report.dropped] == ["mask_token"]


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_parity_of_chunked_blocks(chunks: int, tmp_path: Path) -> None:
    model = with_registers()
    state = chunked(original_state(model), chunks)
    assert f"blocks.{chunks - 1}.3.attn.qkv.weight" in state
    torch.save(state, tmp_path / "chunked.pth")
    loaded = load_model(tmp_path / "chunked.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert_all_keys_accounted(loaded, set(state))


@pytest.mark.parametrize("lost", ["mask_token", ".gamma"])
def test_it_is_known_by_its_registers_or_its_chunks(lost: str, tmp_path: Path) -> None:
    """Trained without layer scale, or saved without the mask token."""
    for kind, state in (
        ("registers", original_state(with_registers())),
        ("chunks", chunked(original_state(plain()), 2)),
    ):
        kept = {name: tensor for name, tensor in state.items() if not name.endswith(lost)}
        torch.save(kept, tmp_path / f"{kind}.pth")
        report = load_model(tmp_path / f"{kind}.pth", heads=3, device="cpu").report
        assert (report.format, report.resampling) == ("DINOv2", "antialias" if kind == "registers" else "dino")


def training_heads() -> State:
    return {"dino_head.mlp.0.weight": torch.ones(5, 24), "ibot_head.last_layer.weight_v": torch.ones(7, 5)}


def teacher_checkpoint(state: State) -> dict:
    """What its evaluations leave: eval/training_N/teacher_checkpoint.pth."""
    return {"teacher": {**{f"backbone.{name}": tensor for name, tensor in state.items()}, **training_heads()}}


def training_file(state: State) -> dict:
    """What its checkpointer leaves: one state dict of both networks and of the losses."""
    whole = {"dino_loss.center": torch.ones(1, 7), "ibot_patch_loss.center": torch.ones(1, 1, 7)}
    for role, weights in (("student", {name: tensor + 1 for name, tensor in state.items()}), ("teacher", state)):
        whole |= {f"{role}.backbone.{name}": tensor for name, tensor in weights.items()}
        whole |= {f"{role}.{name}": tensor for name, tensor in training_heads().items()}
    return {"model": whole, "optimizer": {"state": {}, "param_groups": []}, "iteration": 6}


@pytest.mark.parametrize("wrap", [teacher_checkpoint, training_file, lambda state: training_file(state)["model"]])
def test_of_a_training_run_the_teachers_backbone_is_taken(wrap, tmp_path: Path) -> None:
    model = plain()
    torch.save(wrap(chunked(original_state(model), 2)), tmp_path / "run.pth")
    loaded = load_model(tmp_path / "run.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    why = {key.split(".")[-4 if "mlp" in key else 0]: reason for key, reason in loaded.report.dropped}
    assert "projection head" in why["dino_head"]


@pytest.mark.parametrize("kind", ["plain", "registers"])
def test_parity_of_the_hubs_linear_classifier(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    head = randomise(torch.nn.Linear(48, 5))
    state = {f"backbone.{name}": tensor for name, tensor in original_state(model).items()}
    state |= {f"linear_head.{name}": tensor for name, tensor in head.state_dict().items()}
    torch.save(state, tmp_path / "classifier.pth")
    loaded = load_model(tmp_path / "classifier.pth", heads=3, device="cpu")
    peer = peer_of(model, pictures(*OTHER_SIZE))
    normed = model.layernorm(peer.tokens[-1])
    seen = torch.cat([normed[0], normed[-21:].mean(dim=0)])  # 7×3 patches
    assert_parity(loaded, pictures(*OTHER_SIZE), peer._replace(output=head(seen)))
    assert_all_keys_accounted(loaded, set(state))
    assert len(loaded.spec.class_names) == 5


def test_a_classifier_of_four_layers_is_dropped_and_the_reason_said(tmp_path: Path) -> None:
    state = {**original_state(plain()), "linear_head.weight": torch.ones(5, 120), "linear_head.bias": torch.ones(5)}
    torch.save(state, tmp_path / "classifier.pth")
    report = load_model(tmp_path / "classifier.pth", heads=3, device="cpu").report
    assert "several layers" in dict(report.dropped)["linear_head.bias"]


@pytest.mark.parametrize("other", ["bicubic", "corners"])
@pytest.mark.parametrize("kind", ["plain", "registers"])
def test_parity_notices_other_positions(kind: str, other: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    torch.save(original_state(model), tmp_path / "dinov2.pth")
    loaded = load_model(tmp_path / "dinov2.pth", heads=3, device="cpu")
    peer = peer_of(model, pictures(*OTHER_SIZE))
    loaded.model.resampling = other
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(*OTHER_SIZE), peer)


def test_parity_notices_another_eps(tmp_path: Path) -> None:
    model = randomise(Dinov2Model(Dinov2Config(**SIZE, layer_norm_eps=1e-2)))
    torch.save(original_state(model), tmp_path / "dinov2.pth")
    loaded = load_model(tmp_path / "dinov2.pth", heads=3, device="cpu")
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))


def test_heads_are_asked_for_with_what_published_models_have(tmp_path: Path) -> None:
    shapes = {
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 26, 384),
        "mask_token": (1, 384),
        "patch_embed.proj.weight": (384, 3, 14, 14),
        **{f"blocks.{layer}.ls1.gamma": (384,) for layer in range(12)},
        "blocks.0.mlp.fc1.weight": (1536, 384),
    }
    torch.save({name: torch.ones(1).expand(shape).contiguous() for name, shape in shapes.items()}, tmp_path / "s.pth")
    with pytest.raises(CheckpointError, match="Published DINOv2 models of 384 dimensions and 12 layers have 6"):
        load_model(tmp_path / "s.pth", device="cpu")


def test_a_lost_block_is_refused(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in original_state(plain()).items() if not name.startswith("blocks.2.")}
    torch.save(state, tmp_path / "dinov2.pth")
    with pytest.raises(CheckpointError, match=r"Missing: .*blocks\.2\."):
        load_model(tmp_path / "dinov2.pth", heads=3, device="cpu")
