"""Hugging Face's own models as peers: saved as their users save them, and asked for tokens and attention."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

import vit_engine as ve
from tests.vit_engine.weights.formats.support import Peer, assert_parity, captured, pictures
from vit_engine.weights import LoadedModel

disable_progress_bar()

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "patch_size": 4,
    "image_size": 20,
    "attn_implementation": "eager",
}
# A small text tower, of a whole CLIP.
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "vocab_size": 50,
    "max_position_embeddings": 7,
    "bos_token_id": 48,
    "eos_token_id": 49,
}
CLASSES = {"id2label": {0: "owl", 1: "yak", 2: "asp", 3: "eel", 4: "bat"}}
NAMES = ("owl", "yak", "asp", "eel", "bat")
OTHER_SIZE = (28, 12)  # (height, width)

Save = Callable[[PreTrainedModel, Path], Path]


def as_safetensors(model: PreTrainedModel, folder: Path) -> Path:
    """A folder as save_pretrained writes it: older names of tensors."""
    model.save_pretrained(folder)
    return folder


def as_bin(model: PreTrainedModel, folder: Path) -> Path:
    """A folder as older transformers wrote it, with pytorch_model.bin."""
    model.save_pretrained(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def as_in_memory(model: PreTrainedModel, folder: Path) -> Path:
    """A state dict with the names that transformers has in memory, and its config.json."""
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


WAYS = pytest.mark.parametrize("save", [as_safetensors, as_bin, as_in_memory])


def change_config(folder: Path, *, within: str = "", **values: object) -> None:
    """Keys of a config.json, or of a part of it, get other values."""
    path = folder / "config.json"
    whole = json.loads(path.read_text())
    (whole[within] if within else whole).update(values)
    path.write_text(json.dumps(whole))


def keys_of(folder: Path) -> set[str]:
    """Names of all tensors in a folder."""
    file = folder / "model.safetensors"
    return set(load_file(file) if file.exists() else torch.load(folder / "pytorch_model.bin", weights_only=True))


def hf_peer(
    model: PreTrainedModel,
    layers: Sequence[nn.Module],
    images: Tensor,
    read: Callable[[Any], Tensor],
    **options: object,
) -> Peer:
    """Tokens after `layers`, attention, and what `read` takes from the model's output."""
    outputs: list[Any] = []
    tokens = captured(layers, lambda: outputs.append(model(images, output_attentions=True, **options)))
    return Peer(tokens, [each[0] for each in outputs[0].attentions], read(outputs[0]))


def assert_all_keys_accounted(loaded: LoadedModel, keys: set[str]) -> None:
    """Every key of the file was matched, converted or dropped, once, and none that it lacks."""
    report = loaded.report
    accounted = [*report.matched, *(key for key, _ in report.converted), *(key for key, _ in report.dropped)]
    assert sorted(accounted) == sorted(keys)
    assert not report.missing
    assert all(why for _, why in report.dropped)


def assert_same_as(
    model: PreTrainedModel, save: Save, folder: Path, size: tuple[int, int], peer_of: Callable[[Any, Tensor], Peer]
) -> LoadedModel:
    """The model, saved and loaded here: parity at this size, and every key of the file accounted for."""
    loaded = ve.load_model(save(model, folder), device="cpu")
    assert_parity(loaded, pictures(*size), peer_of(model, pictures(*size)))
    assert_all_keys_accounted(loaded, keys_of(folder))
    return loaded


def assert_refuses(model: PreTrainedModel, folder: Path, change: Mapping[str, Any], message: str) -> None:
    """With this change of its config.json, the model is refused in these words."""
    change_config(as_safetensors(model, folder), **change)
    with pytest.raises(ve.CheckpointError, match=message):
        ve.load_model(folder, device="cpu")


def assert_notices(folder: Path, peer_at: Callable[[Tensor], Peer], change: Mapping[str, object]) -> None:
    """Parity holds, and with this change of config.json it does not: so the tests of it are worth something."""
    images = pictures(*OTHER_SIZE)
    peer = peer_at(images)
    assert_parity(ve.load_model(folder, device="cpu"), images, peer)
    change_config(folder, **change)
    with pytest.raises(AssertionError):
        assert_parity(ve.load_model(folder, device="cpu"), images, peer)


def assert_notices_resampling(folder: Path, peer_at: Callable[[Tensor], Peer], other: str) -> None:
    """As assert_notices, for another way to resample positions."""
    images = pictures(*OTHER_SIZE)
    loaded = ve.load_model(folder, device="cpu")
    loaded.model.resampling = other
    with pytest.raises(AssertionError):
        assert_parity(loaded, images, peer_at(images))
