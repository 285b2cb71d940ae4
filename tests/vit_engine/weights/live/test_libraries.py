"""Modules of timm, transformers and torchvision, in memory: the same tokens and attention, and the same report."""

import inspect
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import vit_engine as ve
from tests.vit_engine.weights.formats import test_torchvision, timm_peers
from tests.vit_engine.weights.formats.hugging_face import CLASSES, NAMES, OTHER_SIZE, SMALL, TEXT
from tests.vit_engine.weights.formats.support import Peer, assert_parity, captured, pictures, randomise
from tests.vit_engine.weights.formats.timm_peers import HEADS, NATIVE, OTHER
from vit_engine.spec import Preprocessing
from vit_engine.weights import LoadedModel, load_model

TIMM: dict[str, dict[str, Any]] = {
    "vit_small_patch16_224": {},
    "vit_small_patch14_reg4_dinov2": {"init_values": 1.0},
    "vit_base_patch16_clip_quickgelu_224": {},
    "deit3_small_patch16_224": {},
    "deit_small_distilled_patch16_224": {},
    "flexivit_small": {"global_pool": "avg"},
    "vit_giant_patch14_dinov2": {"mlp_ratio": 4.0},  # SwiGLU
}
TRANSFORMERS = {
    "ViTModel": {},
    "ViTForImageClassification": {**CLASSES, "hidden_act": "gelu_new"},
    "ViTMSNModel": {"layer_norm_eps": 1e-3},
    "DeiTModel": {},
    "DeiTForImageClassificationWithTeacher": CLASSES,
    "Dinov2Model": {},
    "Dinov2ForImageClassification": {"use_swiglu_ffn": True, **CLASSES},
    "Dinov2WithRegistersModel": {"num_register_tokens": 3},
    "DINOv3ViTModel": {"num_register_tokens": 2, "intermediate_size": 40},
    "CLIPVisionModel": {"hidden_act": "gelu"},
}
VERIFIED = "attention and tokens of all layers"


def hugging_face(name: str, **options: Any) -> transformers.PreTrainedModel:
    model = getattr(transformers, name)
    config = model.config_class(**{**SMALL, **options})
    return randomise(model(config))


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a transformers model, whatever it calls them."""
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == 2]
    return list(lists[0])


def hugging_face_peer(model: transformers.PreTrainedModel, images: Tensor) -> Peer:
    outputs: list[Any] = []
    takes_any = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    options = {"interpolate_pos_encoding": True} if takes_any else {}
    tokens = captured(layers_of(model), lambda: outputs.append(model(images, output_attentions=True, **options)))
    logits = getattr(outputs[0], "logits", None)
    return Peer(tokens, [each[0] for each in outputs[0].attentions], None if logits is None else logits[0])


@pytest.mark.parametrize("architecture", TIMM)
@pytest.mark.parametrize("size", [NATIVE, OTHER])
def test_parity_of_timm(architecture: str, size: tuple[int, int]) -> None:
    model = timm_peers.small(architecture, **TIMM[architecture])
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(*size), timm_peers.peer_of(model, pictures(*size)))
    assert (loaded.spec.name, loaded.spec.heads, loaded.report.format) == (architecture, HEADS, "timm")
    assert loaded.report.verified.startswith(f"{VERIFIED}, and the values of its classes, agree")
    assert loaded.report.assumed == ()
    timm_peers.assert_accounts_for(loaded, model.state_dict())


def test_timms_own_settings_are_read_from_the_module() -> None:
    model = timm_peers.small("vit_small_patch16_224", act_layer="quick_gelu", norm_layer=LooseNorm)
    loaded = load_model(model, device="cpu")
    assert (loaded.spec.mlp, loaded.spec.norm_eps) == ("quick_gelu", 1e-2)
    assert loaded.spec.preprocessing == Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert loaded.spec.native_size == NATIVE


class LooseNorm(nn.LayerNorm):
    """With an eps that no published model has."""

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__(dim, eps=1e-2, **options)


def test_names_of_classes_go_with_the_classifier_that_they_are_of() -> None:
    model = timm_peers.small("vit_small_patch16_224")
    model.pretrained_cfg |= {"num_classes": 5, "label_names": NAMES}
    assert load_model(model, device="cpu").spec.class_names == NAMES
    model.reset_classifier(7)
    assert load_model(randomise(model), device="cpu").spec.class_names[-1] == "class 6"


def test_a_timm_model_made_without_a_name_needs_none() -> None:
    from timm.models.vision_transformer import VisionTransformer  # noqa: PLC0415

    model = randomise(VisionTransformer(img_size=20, patch_size=4, embed_dim=24, depth=2, num_heads=3, num_classes=0))
    report = load_model(model, device="cpu").report
    assert report.source == "timm VisionTransformer in memory"
    assert "ImageNet" in report.assumed[0]


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity_of_transformers(name: str, size: tuple[int, int]) -> None:
    model = hugging_face(name, **TRANSFORMERS[name])
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(*size), hugging_face_peer(model, pictures(*size)))
    assert loaded.report.source == f"transformers {name} in memory"
    assert loaded.report.verified.startswith(VERIFIED)
    timm_peers.assert_accounts_for(loaded, model.state_dict(), dropped={key for key, _ in loaded.report.dropped})


def test_the_classes_of_transformers_have_their_names() -> None:
    loaded = load_model(hugging_face("ViTForImageClassification", **CLASSES), device="cpu")
    assert loaded.spec.class_names == NAMES
    assert "and the values of its classes" in loaded.report.verified


@pytest.mark.parametrize("name", ["ViTMAEModel", "ViTMAEForPreTraining"])
def test_a_masked_autoencoder_of_transformers_is_compared_with_all_patches(name: str) -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "attn_implementation"}
    decoder = {"decoder_hidden_size": 8, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    model = randomise(getattr(transformers, name)(transformers.ViTMAEConfig(**sizes, **decoder)))
    report = load_model(model, device="cpu").report
    assert report.verified.startswith(VERIFIED)
    assert model.config.mask_ratio == 0.75


def test_of_a_whole_clip_the_vision_tower_is_taken() -> None:
    sizes = {key: value for key, value in SMALL.items() if key != "attn_implementation"}
    config = transformers.CLIPConfig(vision_config=sizes, text_config=TEXT, attn_implementation="eager")
    model = randomise(transformers.CLIPModel(config))
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(20, 20), hugging_face_peer(model.vision_model, pictures(20, 20)))
    assert any(key.startswith("text_model.") for key, _ in loaded.report.dropped)


def test_a_timm_model_in_transformers_wrapper_is_timms() -> None:
    config = transformers.TimmWrapperConfig.from_dict(
        {"architecture": "vit_tiny_patch16_224", "num_classes": 2, "model_args": {"depth": 1, "img_size": 32}}
    )
    loaded = load_model(randomise(transformers.TimmWrapperModel(config)), device="cpu")
    assert (loaded.report.source, loaded.spec.name) == ("timm VisionTransformer in memory", "vit_tiny_patch16_224")
    assert loaded.report.verified.startswith(VERIFIED)


def test_parity_of_torchvision() -> None:
    model = randomise(test_torchvision.small(20))
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(20, 20), test_torchvision.peer_of(model, pictures(20, 20)))
    assert (loaded.report.format, loaded.report.source) == ("torchvision", "torchvision VisionTransformer in memory")
    assert loaded.report.verified.startswith(f"{VERIFIED}, and the values of its classes, agree")
    assert "20×20 px" in loaded.report.verified, "it takes no other size"


@pytest.mark.parametrize("name", ["demo_vit_p8", "random_vit_tiny_p16"])
def test_this_projects_own_module_is_itself(name: str) -> None:
    original = load_model(name, device="cpu")
    loaded = load_model(original.model, device="cpu")
    assert same_but_words(loaded, original)
    images = pictures(32, 48)
    assert torch.equal(loaded.model(images), original.model(images))
    assert "a module does not hold its spec" in loaded.report.assumed[0]


def same_but_words(first: LoadedModel, second: LoadedModel) -> bool:
    names = ("patch_size", "dim", "depth", "heads", "native_size", "mlp", "norm_eps", "pooling", "resampling")
    return all(getattr(first.spec, name) == getattr(second.spec, name) for name in names)


def test_inspecting_a_module_says_the_same_as_loading_it() -> None:
    model = timm_peers.small("vit_small_patch16_224")
    inspection, loaded = ve.inspect_checkpoint(model), load_model(model, device="cpu")
    assert inspection.spec == loaded.spec
    assert (inspection.report.sha256, inspection.report.verified) == (loaded.report.sha256, "")
