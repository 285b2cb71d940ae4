"""State dicts that are no ViT, or have no weights to run with: what each is, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor
from transformers import BertConfig, BertModel, Dinov2Config, Dinov2Model, SiglipVisionConfig, SiglipVisionModel

from tests.vit_engine.weights.fixtures_states import State, assert_same, prefixed, saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import inspect_checkpoint, load_model
from vit_engine.weights.diagnosis import check_plain
from vit_engine.weights.reading.limits import LIMIT_VARIABLE

OTHER = "Pass the checkpoint of a plain Vision Transformer"


def refused(path: Path, message: str, **options: Any) -> None:
    """By loading and by looking alike."""
    for attempt in (load_model, inspect_checkpoint):
        with pytest.raises(CheckpointError, match=rf"{path.name}.*{message}"):
            attempt(path, **options)


def bert() -> State:
    configuration = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40
    )
    return BertModel(configuration).state_dict()


def optimizer_state() -> dict[str, Any]:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def lora() -> State:
    """As PEFT's save_pretrained() leaves it."""
    layer = "base_model.model.vit.encoder.layer.0.attention.attention.query"
    return {f"{layer}.lora_A.weight": torch.ones(2, 12), f"{layer}.lora_B.weight": torch.ones(12, 2)}


def four_bits() -> State:
    """As bitsandbytes leaves a layer: packed numbers, and what they stand for."""
    name = "blocks.0.attn.qkv.weight"
    return vit_state() | {
        name: torch.zeros(216, 1, dtype=torch.uint8),
        f"{name}.absmax": torch.ones(7),
        f"{name}.quant_map": torch.ones(16),
        f"{name}.quant_state.bitsandbytes__nf4": torch.zeros(3, dtype=torch.uint8),
    }


def flattened() -> State:
    """As FSDP's first rank has it with use_orig_params: a piece of some, nothing of others."""
    return {name: tensor.flatten()[: 7 * (number % 2)] for number, (name, tensor) in enumerate(vit_state().items())}


def gptq() -> State:
    return vit_state() | {"blocks.0.attn.qkv.qweight": torch.zeros(3, 36, dtype=torch.int32)}


def swin() -> State:
    return timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=28, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=7
    ).state_dict()


def beit() -> State:
    return timm.create_model("beit_base_patch16_224", img_size=32, embed_dim=24, depth=1, num_heads=3).state_dict()


def convnext() -> State:
    return timm.create_model("convnext_tiny", depths=(1, 1, 1, 1), dims=(4, 8, 8, 8), num_classes=3).state_dict()


def siglip() -> State:
    configuration = SiglipVisionConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=3, image_size=28, patch_size=7, intermediate_size=40
    )
    return SiglipVisionModel(configuration).state_dict()


def resnet() -> State:
    return torchvision.models.resnet18().state_dict()


STATES = {
    "resnet": (resnet, rf"it is a convolutional network \(ResNet.*bn1\.bias.*{OTHER}"),
    "convnext": (convnext, r"it is a convolutional network \(ResNet, ConvNeXt"),
    "mixture": (
        lambda: convnext() | {"stages.1.attn.qkv.weight": torch.ones(24, 8)},
        r"a mixture of convolutions and att",
    ),
    "swin": (swin, r"relative position biases \(Swin.*layers\.0\.blocks\.0\.attn\.relative_position_bias_table"),
    "beit": (beit, r"relative position biases \(Swin, BEiT.*blocks\.0\.attn\.relative_position_bias_table"),
    "siglip": (siglip, r"a ViT without a CLS token \(SigLIP"),
    "bert": (bert, rf"it is a text model: .*embeddings\.word_embeddings\.weight.*{OTHER}"),
    "gpt": (lambda: {"transformer.wte.weight": torch.ones(9, 4)}, r"it is a text model"),
    "llama": (lambda: {"model.embed_tokens.weight": torch.ones(9, 4)}, r"it is a text model"),
    "lora": (lora, r"it is an adapter \(LoRA.*query\.lora_A\.weight.*merge_and_unload"),
    "lora beside the model": (lambda: vit_state() | lora(), r"it is an adapter \(LoRA"),
    "flat": (lambda: {"_fsdp_wrapped_module._flat_param": torch.ones(99)}, r"a shard of a distributed \(FSDP\) run"),
    "flat, of a layer": (
        lambda: vit_state() | {"blocks.0.flat_param_0": torch.ones(9)},
        r"a shard of .*FULL_STATE_DICT",
    ),
    "flat, under the usual names": (
        flattened,
        r"a shard of a distributed \(FSDP or ZeRO\) run: all its tensors are flat",
    ),
    "4 bits": (four_bits, r"it is a quantised model \(bitsandbytes.*qkv\.weight\.absmax.*before it was quantised"),
    "gptq": (gptq, r"it is a quantised model"),
    "diffusion": (lambda: {"model.diffusion_model.x.weight": torch.ones(2, 4, 3, 3)}, r"it is a diffusion model"),
    "sam": (lambda: {"mask_decoder.x.weight": torch.ones(2), "image_encoder.pos_embed": torch.ones(3)}, r"\(SAM\)"),
    "sam by its encoder": (lambda: {"image_encoder.blocks.0.attn.rel_pos_h": torch.ones(3, 4)}, r"relative position"),
    "detr": (lambda: {"bbox_embed.layers.0.weight": torch.ones(4, 4)}, r"it is a detector"),
    "dino's head": (
        lambda: {
            "mlp.0.weight": torch.ones(3, 4),
            "mlp.0.bias": torch.ones(3),
            "last_layer.weight_v": torch.ones(5, 3),
        },
        r"it is a head alone \(a classifier, or DINO's projection head\)",
    ),
    "a head by parametrization": (
        lambda: {"last_layer.parametrizations.weight.original0": torch.ones(5, 1)},
        r"a head al",
    ),
    "a linear probe": (
        lambda: {"linear.weight": torch.ones(9, 4), "linear.bias": torch.ones(9)},
        r"it is a head alone",
    ),
    "moments": (lambda: {"exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}, r"it is the state of an optimizer"),
    "something else": (
        lambda: {"x.weight": torch.ones(3)},
        r"not a Vision Transformer in a format .*here \(torchvision, .*\); got (module\.)?x\.weight\..*PATH#NAME",
    ),
}


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_models_of_other_kinds_are_named(tmp_path: Path, kind: str, wrapped: bool) -> None:
    make, message = STATES[kind]
    state = make()
    content = {"state_dict": prefixed(state, "module."), "epoch": 3} if wrapped else state
    refused(saved(tmp_path / "w.pth", content), message)


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_optimizer_alone_is_named(tmp_path: Path, wrapped: bool) -> None:
    content = {"optimizer": optimizer_state(), "epoch": 3} if wrapped else optimizer_state()
    message = r"it is the state of an optimizer, without the model; .*Save the model's state_dict\(\), too"
    refused(saved(tmp_path / "w.pth", content), message)


def broken(state: State, name: str, value: float, count: int = 1) -> State:
    tensor = state[name].clone()
    tensor.view(-1)[:count] = value
    return state | {name: tensor}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_are_refused_by_name_and_count(tmp_path: Path, value: float) -> None:
    state = broken(broken(vit_state(), "blocks.1.attn.qkv.weight", value, 7), "norm.bias", value)
    message = (
        rf"values that are NaN or infinite as float32 are in 2 of its {len(state)} tensors: "
        r"blocks\.1\.attn\.qkv\.weight \(7 of 432\), norm\.bias \(1 of 12\)\. The training run has diverged"
    )
    refused(saved(tmp_path / "w.pth", state), message, heads=3)


def test_values_too_large_for_float32_are_infinite(tmp_path: Path) -> None:
    state = broken({name: tensor.double() for name, tensor in vit_state().items()}, "norm.bias", 1e300)
    refused(
        saved(tmp_path / "w.pth", state), r"NaN or infinite .* 1 of its \d+ tensors: norm\.bias \(1 of 12\)", heads=3
    )


def test_values_whose_sum_alone_is_infinite_are_taken(tmp_path: Path) -> None:
    state = broken(vit_state(), "norm.bias", 3e38, 12)
    assert load_model(saved(tmp_path / "w.pth", state), heads=3, device="cpu").model.norm.bias.min() > 2e38


def test_what_is_dropped_may_hold_anything(tmp_path: Path) -> None:
    head = {
        "head.mlp.0.weight": torch.full((2, 2), torch.nan),
        "head.last_layer.weight_g": torch.ones(2, dtype=torch.int8),
    }
    content = {"teacher": vit_state() | head, "student": broken(vit_state(), "norm.bias", torch.nan)}
    path = saved(tmp_path / "w.pth", content)
    assert len(load_model(path, heads=3, device="cpu").report.dropped) == 3
    with pytest.raises(
        CheckpointError, match=r"w\.pth: values that are NaN or infinite as float32 are in 1 of its \d+ tensors"
    ):
        load_model(f"{path}#student", heads=3)


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [(torch.int8, "int8"), (torch.int64, "int64"), (torch.bool, "bool"), (torch.complex64, "complex64")],
)
def test_weights_that_are_no_real_numbers_are_refused(tmp_path: Path, dtype: torch.dtype, shown: str) -> None:
    state = vit_state() | {"norm.weight": torch.ones(12).to(dtype)}
    refused(
        saved(tmp_path / "w.pth", state), rf"1 of its weights are no real numbers: norm\.weight \({shown}\)", heads=3
    )


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor", "ignore:TypedStorage", "ignore:Validating sparse")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tensor: tensor.to_sparse(), r"sparse or nested values: norm\.weight\. Save them with \.to_dense"),
        (lambda tensor: tensor.to("meta"), r"no values \(meta tensors\): norm\.weight\. Save the model after"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), r"quantised values: norm\.weight"),
    ],
    ids=["sparse", "meta", "quantised"],
)
def test_tensors_without_values_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    state = vit_state()
    path = saved(tmp_path / "w.pth", state | {"norm.weight": make(state["norm.weight"])})
    refused(path, rf"1 of its tensors have {message}", heads=3)


def test_tensors_of_another_class_are_refused() -> None:
    class Distributed(Tensor):
        """As torch.distributed's DTensor."""

    with pytest.raises(CheckpointError, match=r"1 of its tensors have values of a class of their own: a\. Gather"):
        check_plain(
            {"a": torch.ones(2).as_subclass(Distributed), "b": torch.ones(2), "c": torch.nn.Parameter(torch.ones(2))}
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_types_are_mixed_and_become_float32(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    state = vit_state()
    mixed = {key: tensor.to(dtype) if "attn" in key else tensor for key, tensor in state.items()}
    loaded = load_model(saved(tmp_path / name, mixed), heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), {key: tensor.float() for key, tensor in mixed.items()})
    assert loaded.report.dtypes == (("float32", len(state) - 8), (str(dtype).removeprefix("torch."), 8))
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {torch.float32}


def test_tensors_that_are_strided_tied_or_parameters_are_taken(tmp_path: Path) -> None:
    state = vit_state()
    odd = dict(state)
    odd["blocks.0.mlp.fc1.weight"] = state["blocks.0.mlp.fc1.weight"].t().contiguous().t()
    odd["blocks.0.norm2.weight"] = odd["blocks.0.norm1.weight"]
    odd["norm.bias"] = torch.ones(24)[::2]
    odd["cls_token"] = torch.nn.Parameter(state["cls_token"].half())
    assert not odd["blocks.0.mlp.fc1.weight"].is_contiguous()
    loaded = load_model(saved(tmp_path / "w.pth", odd), heads=3, device="cpu").model
    assert_same(loaded.state_dict(), {key: tensor.detach().float() for key, tensor in odd.items()})
    assert all(p.is_contiguous() and p.is_leaf and not p.requires_grad for p in loaded.parameters())


def test_a_tensor_that_repeats_one_value_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "w.pth", vit_state() | {"norm.weight": torch.ones(1).expand(1000, 1000)})
    assert path.stat().st_size < 100_000
    monkeypatch.setenv(LIMIT_VARIABLE, "1000000")
    refused(path, r"its tensors have 4,0\d\d,\d+ bytes; at most 1,000,000 are read", heads=3)


@pytest.mark.parametrize(
    ("heads", "reason"),
    [(5, "heads must divide its 12 dimensions; got heads=5"), (7, "got heads=7"), (0, "heads"), (-3, "heads")],
)
def test_heads_that_cannot_be_are_refused(tmp_path: Path, heads: int, reason: str) -> None:
    refused(saved(tmp_path / "w.pth", vit_state()), reason, heads=heads)


def test_heads_that_the_configuration_contradicts_are_refused(tmp_path: Path) -> None:
    configuration = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7, mlp_ratio=2
    )
    Dinov2Model(configuration).save_pretrained(tmp_path / "run")
    refused(tmp_path / "run", r"has 3 heads \(from .*config\.json.*\); got heads=4\. Leave heads= out", heads=4)
    assert load_model(tmp_path / "run", heads=3, device="cpu").spec.heads == 3
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config | {"num_attention_heads": 5}))
    refused(tmp_path / "run", r"dim 24, 5 heads|multiple")
