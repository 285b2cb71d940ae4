"""Exports of all families by both of PyTorch's exporters: the attention that onnxruntime computes with the file."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest
import torch
from timm.utils.onnx import onnx_export
from torch import Tensor, nn
from torchvision.models import VisionTransformer
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    DeiTConfig,
    DeiTModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    ViTConfig,
    ViTForImageClassification,
)

import vit_engine as ve
from tests.vit_engine.weights.formats.exports import EXPORTERS, assert_computes, compute, export, weights_of
from tests.vit_engine.weights.formats.support import pictures, prepared, randomise
from tests.vit_engine.weights.formats.timm_peers import NATIVE, rebuilt, saved, small
from vit_engine.weights import LoadedModel, load_model

HF = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "patch_size": 4, "image_size": 20}
SQUARE = (20, 20)
Output = Callable[[Sequence[Tensor]], Tensor]


def logits(outputs: Sequence[Tensor]) -> Tensor:
    return outputs[0]


def cls(outputs: Sequence[Tensor]) -> Tensor:
    return outputs[0][:, 0]


def pooled(outputs: Sequence[Tensor]) -> Tensor:
    return outputs[1]


def static(architecture: str, **options: object) -> nn.Module:
    """timm's, for pictures of one size, as its exporter makes them: PyTorch cannot export what it does for others."""
    return small(architecture, dynamic_img_size=False, **options)


# (model, size, what its classifier or its CLS token is among the outputs, the family and the format that it is)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], Output, str]] = {
    "vit": (lambda: ViTForImageClassification(ViTConfig(**HF, num_labels=5)), SQUARE, logits, "Hugging Face ViT"),
    "deit": (lambda: DeiTModel(DeiTConfig(**HF)), SQUARE, cls, "Hugging Face DeiT"),
    "dinov2": (lambda: Dinov2Model(Dinov2Config(**HF)), SQUARE, cls, "Hugging Face Dinov2"),
    "dinov2-gated": (
        lambda: Dinov2Model(Dinov2Config(**HF, use_swiglu_ffn=True, qkv_bias=False)),
        SQUARE,
        cls,
        "Hugging Face Dinov2",
    ),
    "dinov2-registers": (
        lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**HF, num_register_tokens=3)),
        SQUARE,
        cls,
        "Hugging Face Dinov2",
    ),
    "dinov3": (
        lambda: DINOv3ViTModel(DINOv3ViTConfig(**HF, num_register_tokens=3)),
        (20, 28),
        cls,
        "Hugging Face DINOv3",
    ),
    "clip": (
        lambda: CLIPVisionModel(CLIPVisionConfig(**HF, hidden_act="gelu")),
        SQUARE,
        pooled,
        "Hugging Face CLIP",
    ),
    "timm-vit": (lambda: static("vit_tiny_patch16_224", num_classes=5, img_size=20), SQUARE, logits, "timm"),
    "timm-deit": (lambda: static("deit_tiny_distilled_patch16_224", img_size=20), SQUARE, logits, "DeiT"),
    "timm-reg4": (
        lambda: static("vit_small_patch14_reg4_dinov2", num_classes=0, img_size=20),
        SQUARE,
        logits,
        "timm",
    ),
    "timm-clip": (
        lambda: static("vit_base_patch32_clip_quickgelu_224", num_classes=5, img_size=20),
        SQUARE,
        logits,
        "timm",
    ),
    "dino": (lambda: static("vit_tiny_patch16_224", num_classes=0, img_size=20), SQUARE, logits, "DINO"),
    "torchvision": (lambda: VisionTransformer(20, 4, 2, 3, 24, 48, num_classes=5), SQUARE, logits, "torchvision"),
}
# Its bicubic resampling with antialiasing is in no version of ONNX that the older exporter knows.
CASES = [(name, exporter) for name in MODELS for exporter in EXPORTERS]
CASES.remove(("dinov2-registers", "torchscript"))


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_parity(name: str, exporter: str, tmp_path: Path) -> None:
    make, size, output, kind = MODELS[name]
    model = make()
    path = export(
        model if name.startswith(("timm", "dino-")) else randomise(model), tmp_path / "w.onnx", exporter, size
    )
    loaded = load_model(path, device="cpu")
    assert_computes(loaded, path, size, output)
    assert_accounts_for(loaded, path)
    report = loaded.report
    assert (report.format, report.container) == (kind, "onnx")
    assert report.heads_from == "the graph's reshape to 3 heads of 8"
    assert "eps" not in " ".join(report.assumed)


def assert_accounts_for(loaded: LoadedModel, path: Path) -> None:
    """Every weight of the file went into the model, or was left out with a reason."""
    report = loaded.report
    keys = {*report.matched, *(key for key, _ in report.converted), *(key for key, _ in report.dropped)}
    assert set(weights_of(path)) <= keys


def test_timms_own_exporter(tmp_path: Path) -> None:
    path, model = tmp_path / "w.onnx", static("vit_tiny_patch16_224", num_classes=5, img_size=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it still uses the older exporter
        onnx_export(model, str(path), example_input=pictures(*SQUARE))
    assert_computes(load_model(path, device="cpu"), path, SQUARE, logits)


def test_a_folder_as_the_hub_has_it(tmp_path: Path) -> None:
    """Its config.json says the size, which is not square, and the heads, which the graph says, too."""
    model = static("vit_tiny_patch16_224", num_classes=5, img_size=NATIVE)
    (saved(model, tmp_path / "mine") / "model.safetensors").unlink()
    path = export(model, tmp_path / "mine" / "onnx" / "model.onnx", "torchscript", NATIVE)
    for source in (path, tmp_path / "mine"):
        loaded = load_model(source, device="cpu")
        assert_computes(loaded, path, NATIVE, logits)
        assert (loaded.spec.name, loaded.spec.native_size) == ("mine", NATIVE)


def test_parity_notices_other_heads(tmp_path: Path) -> None:
    path = export(static("vit_tiny_patch16_224", img_size=20), tmp_path / "w.onnx", "torchscript", SQUARE)
    loaded = load_model(path, device="cpu")
    with pytest.raises(AssertionError):
        assert_computes(rebuilt(loaded, heads=6), path, SQUARE, logits)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_half_precision(exporter: str, tmp_path: Path) -> None:
    """onnxruntime computes in half precision then, and the engine does not."""
    model = static("vit_tiny_patch16_224", num_classes=5, img_size=20).half()
    path = export(model, tmp_path / "w.onnx", exporter, SQUARE, half=True)
    loaded = load_model(path, device="cpu")
    assert loaded.report.dtypes == (("float16", 32),)
    assert torch.equal(loaded.model.blocks[1].attn.qkv.weight, model.blocks[1].attn.qkv.weight.float())
    trace = ve.attend(loaded, prepared(loaded, pictures(*SQUARE)))
    attention = compute(path, pictures(*SQUARE)).attention[0]
    torch.testing.assert_close(torch.from_numpy(trace.weights(0)), attention, rtol=0, atol=0.02)


def test_attention_as_one_operator(tmp_path: Path) -> None:
    """Since ONNX 23 there is one, in whose place nothing of its weights can be seen; outputs are compared."""
    model = static("vit_tiny_patch16_224", num_classes=5, img_size=20)
    path = export(model, tmp_path / "w.onnx", "dynamo", SQUARE, opset=23)
    assert "Attention" in {node.op_type for node in onnx.load(path).graph.node}
    loaded = load_model(path, device="cpu")
    assert loaded.spec.heads == 3
    torch.testing.assert_close(loaded.model(pictures(*SQUARE)), model(pictures(*SQUARE)))
