"""What a model on the hub is, before a byte of its weights is fetched."""

import json

import pytest

from tests.vit_engine.weights.fetching.hub.conftest import NAME
from tests.vit_engine.weights.hub_models import dinov2_files, timm_files, with_config
from tests.vit_engine.weights.hub_server import Hub, Repo
from vit_engine.errors import CheckpointError
from vit_engine.weights.fetching.hub import HubModel, HubName, describe_hub_model


def describe(name: str) -> HubModel:
    return describe_hub_model(HubName(name))


def fetched(hub: Hub) -> list[str]:
    return hub.fetched()


def test_a_model_is_described_without_its_weights(hub: Hub) -> None:
    repo = hub.repos[NAME]
    model = describe(NAME)
    assert (model.kind, model.main, model.licence, model.gated) == (
        "dinov2_with_registers",
        "model.safetensors",
        "apache-2.0",
        False,
    )
    assert model.source == f"hf:{NAME}@{repo.commit}"
    assert model.config["hidden_size"] == 24
    assert [file.name for file in model.files] == ["config.json", "model.safetensors"]
    assert model.size == len(repo.files["config.json"]) + len(repo.files["model.safetensors"])
    assert [file.name for file in model.missing] == ["config.json", "model.safetensors"]
    assert set(fetched(hub)) == {"config.json"}


def test_a_card_without_a_licence_says_none(hub: Hub) -> None:
    hub.repos[NAME].licence = None
    assert describe(NAME).licence == ""


@pytest.mark.parametrize(
    ("names", "main"),
    [
        (("pytorch_model.bin", "model.safetensors", "open_clip_model.safetensors"), "model.safetensors"),
        (("pytorch_model.bin", "dino.safetensors"), "dino.safetensors"),
        (("pytorch_model.bin", "flax_model.msgpack"), "pytorch_model.bin"),
        (("dino_vits8.pth", "optimizer.pt", "training_args.bin"), "dino_vits8.pth"),
        (("pytorch_model.bin", "onnx/model.onnx"), "pytorch_model.bin"),
        (("vit.onnx", "onnx/model.onnx", "onnx/model_int8.onnx"), "onnx/model.onnx"),
    ],
)
def test_safetensors_come_before_pickles(hub: Hub, names: tuple[str, ...], main: str) -> None:
    hub.repos["a/b"] = Repo(dict.fromkeys(names, b"weights"))
    assert describe("a/b").main == main


OPEN_CLIP = {
    "model_cfg": {"vision_cfg": {"layers": 2, "width": 24, "head_width": 8, "patch_size": 4, "image_size": 20}}
}
RESNET = {"model_cfg": {"vision_cfg": {"layers": [3, 4, 6, 3], "width": 64}}}


def open_clip(config: object) -> Repo:
    safetensors = {"open_clip_model.safetensors": b"weights", "open_clip_pytorch_model.bin": b"a pickle"}
    return Repo(safetensors | {"open_clip_config.json": json.dumps(config).encode()})


def test_open_clip_has_names_of_its_own(hub: Hub) -> None:
    hub.repos["laion/clip"] = open_clip(OPEN_CLIP)
    model = describe("laion/clip")
    assert (model.kind, model.main) == ("open_clip", "open_clip_model.safetensors")
    hub.repos["laion/resnet"] = open_clip(RESNET)
    with pytest.raises(CheckpointError, match="must be of a Vision Transformer"):
        describe("laion/resnet")


def test_timm_says_its_architecture(hub: Hub) -> None:
    hub.repos["timm/vit"] = Repo(dict(timm_files()))
    assert describe("timm/vit").kind == "vit_small_patch16_224"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "a/b is of the model type 'bert' .* not among the Vision Transformers .* dinov2"),
        ({"model_type": "swin"}, "the model type 'swin'"),
        ({"model_type": ["vit"]}, r"the model type \['vit'\]"),
        ({"architecture": "resnet50"}, "a/b is a 'resnet50' of timm"),
        ({"architecture": "swin_tiny_patch4", "model_type": "timm_wrapper"}, "'swin_tiny_patch4' of timm"),
    ],
)
def test_what_is_no_vit_is_refused_before_its_weights_are_fetched(hub: Hub, config: dict, message: str) -> None:
    hub.repos["a/b"] = Repo(with_config(**config))
    with pytest.raises(CheckpointError, match=message):
        describe("a/b")
    assert "model.safetensors" not in fetched(hub)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("tf_model.h5", "flax_model.msgpack"),
            r"a/b has only weights of Flax, TensorFlow: looked for model\.safetensors.*; got flax",
        ),
        (("onnx/model_quantized.onnx",), r"a/b has no weights: .* got onnx/model_quantized\.onnx"),
        (("vit.gguf",), r"only weights of GGUF \(quantised\)"),
        (("README.md",), "a/b has no weights: "),
        (("adapter_config.json", "adapter_model.safetensors"), "holds an adapter"),
        (("a.safetensors", "b.safetensors"), "2 files that may be weights.* Download the one"),
    ],
)
def test_what_is_there_is_named_where_nothing_can_be_read(hub: Hub, names: tuple[str, ...], message: str) -> None:
    hub.repos["a/b"] = Repo(dict.fromkeys(names, b"weights"))
    with pytest.raises(CheckpointError, match=message):
        describe("a/b")


def test_a_shard_that_is_not_in_the_repository_is_missed(hub: Hub) -> None:
    files = dict(dinov2_files(shards=True))
    first = min(name for name in files if name.endswith(".safetensors"))
    del files[first]
    hub.repos["a/b"] = Repo(files)
    with pytest.raises(
        CheckpointError, match=r"a/b lacks 1 of the files that its model\.safetensors\.index\.json names"
    ):
        describe("a/b")


def test_an_index_cannot_name_files_elsewhere(hub: Hub) -> None:
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    hub.repos["a/b"] = Repo({"model.safetensors.index.json": json.dumps(index).encode()})
    with pytest.raises(CheckpointError, match="lacks 1 of the files"):
        describe("a/b")


def test_a_configuration_of_any_size_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit_engine.weights.fetching.hub.describe.LARGEST_JSON", 10)
    with pytest.raises(CheckpointError, match=r"config\.json of hf:meta/dinov2-tiny has [\d,]+ bytes; .* at most 10"):
        describe(NAME)
    assert fetched(hub) == []


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil", "a/../../evil", "C:evil", "a\\..\\evil"])
def test_files_that_would_lie_elsewhere_are_left_out(hub: Hub, name: str) -> None:
    hub.repos[NAME].files[name] = b"never read"
    assert describe(NAME).main == "model.safetensors"
