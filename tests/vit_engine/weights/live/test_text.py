"""Text towers in memory: a module that reads a text in another way than its tensors show is refused."""

from typing import Any

import open_clip
import pytest
from torch import Tensor, nn

import vit_engine as ve
from tests.vit_engine.weights.text.clips import CAT, open_clip_model
from vit_engine.errors import CheckpointError


class Bidirectional(open_clip.model.CLIP):
    """Nothing in its state dict tells it from a plain one."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        self.attn_mask.zero_()
        return super().encode_text(text, normalize)


class Tupled(open_clip.model.CLIP):
    def encode_text(self, text: Tensor, normalize: bool = False) -> Any:
        return (super().encode_text(text, normalize),)


class Narrow(open_clip.model.CLIP):
    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        return super().encode_text(text, normalize)[:, :3]


class Broken(open_clip.model.CLIP):
    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:  # noqa: ARG002
        raise ZeroDivisionError("of no use")


class Parts(nn.Module):
    """Both towers, and no way from a text to its embedding."""

    def __init__(self) -> None:
        super().__init__()
        for name, part in open_clip_model().named_children():
            self.add_module(name, part)
        for name, tensor in open_clip_model().named_parameters(recurse=False):
            self.register_parameter(name, tensor)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Bidirectional, "embeddings of a text differ by up to"),
        (Tupled, "makes a tuple of a text; expected a tensor"),
        (Narrow, r"makes \(1, 3\) of a text; expected \(1, 10\)"),
        (Broken, r"failed \(ZeroDivisionError: of no use\)"),
    ],
)
def test_a_module_that_reads_texts_in_another_way_is_refused(
    kind: type[open_clip.model.CLIP], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip.model, "CLIP", kind)
    model = open_clip_model()
    loaded = ve.load_model(model, device="cpu")
    with pytest.raises(CheckpointError, match=message):
        ve.text_target(loaded, CAT)


def test_a_module_that_reads_no_texts_is_refused() -> None:
    parts = Parts()
    loaded = ve.load_model(parts, device="cpu")
    with pytest.raises(CheckpointError, match="neither encode_text nor get_text_features"):
        ve.text_target(loaded, CAT)


def test_parts_that_do_not_say_their_heads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_clip_model()
    loaded = ve.load_model(model, device="cpu")
    monkeypatch.setattr(model.transformer.resblocks[0].attn, "num_heads", "two")
    with pytest.raises(CheckpointError, match="must have num_heads and eps; got 'two' and 1e-05"):
        ve.text_target(loaded, CAT)
