"""Small models for the hub, saved by the libraries whose users put them there."""

import functools
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, ViTConfig, ViTModel

from tests.vit_engine.weights.formats import timm_peers
from tests.vit_engine.weights.formats.hugging_face import SMALL
from tests.vit_engine.weights.hub_server import folder_files


@functools.cache
def dinov2_files(*, shards: bool = False) -> Mapping[str, bytes]:
    """A DINOv2 with registers as transformers saves it: three heads of 8 dimensions, two layers, patches of 4 px.

    Its attention is far from even.
    """
    torch.manual_seed(0)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, num_register_tokens=2))
    for name, parameter in model.named_parameters():
        if "q_proj" in name or "k_proj" in name:
            parameter.data.mul_(20)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size="30KB" if shards else "5GB")
        return folder_files(Path(folder)) | {"README.md": b"# A model card"}


@functools.cache
def pickled_files() -> Mapping[str, bytes]:
    """A ViT as transformers saved it before safetensors."""
    torch.manual_seed(0)
    model = ViTModel(ViTConfig(**SMALL))
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), Path(folder) / "pytorch_model.bin")
        return folder_files(Path(folder))


@functools.cache
def timm_files() -> Mapping[str, bytes]:
    """A ViT as timm puts it on the hub."""
    with tempfile.TemporaryDirectory() as folder:
        model = timm_peers.small("vit_small_patch16_224")
        return folder_files(timm_peers.saved(model, Path(folder)))


def with_config(**values: object) -> dict[str, bytes]:
    """The files of a model of another type, whose weights must never be asked for."""
    return {"config.json": json.dumps(values).encode(), "model.safetensors": b"never read"}


@functools.cache
def onnx_files() -> Mapping[str, bytes]:
    """A ViT as it is exported for transformers.js, its values in a file beside the graph, in a folder of their own."""
    torch.manual_seed(0)
    model = ViTModel(ViTConfig(**SMALL), add_pooling_layer=False).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)  # equal ones, as zeros are, would be exported once
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        path, pixels = Path(folder) / "model.onnx", torch.zeros(1, 3, 20, 20)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            torch.onnx.export(model, (pixels,), str(path), dynamo=False, input_names=["pixel_values"])
        onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
        files = folder_files(Path(folder))
    return {name if name.endswith(".json") else f"onnx/{name}": data for name, data in files.items()}
