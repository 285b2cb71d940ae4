"""A module that computes something else with a plain Vision Transformer's tensors is refused by what is different."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import Attention, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.formats.timm_peers import small
from tests.vit_engine.weights.live.lookalikes import Dino, DinoV2
from vit_engine.errors import CheckpointError, ResourceError
from vit_engine.weights import load_model


def vit(kind: type[nn.Module] = VisionTransformer, **options: Any) -> nn.Module:
    model = small("vit_small_patch16_224", **options)
    model.__class__ = kind
    return model


def with_attention(kind: type[nn.Module]) -> nn.Module:
    model = vit()
    model.blocks[1].attn.__class__ = kind
    return model


class Upside(VisionTransformer):
    """The same tensors, and pictures upside down."""

    def forward_features(self, x: Tensor, **options: Any) -> Tensor:
        return super().forward_features(x.flip(-2), **options)


class Shallow(VisionTransformer):
    """The last layer is left out."""

    def forward_features(self, x: Tensor, **_: Any) -> Tensor:
        return self.norm(self.blocks[0](self._pos_embed(self.patch_embed(x))))


class Between(VisionTransformer):
    """Tokens are changed between two layers."""

    def forward_features(self, x: Tensor, **_: Any) -> Tensor:
        return self.norm(self.blocks[1](2 * self.blocks[0](self._pos_embed(self.patch_embed(x)))))


class Short(VisionTransformer):
    """Half of the patches are left out after the first layer."""

    def forward_features(self, x: Tensor, **_: Any) -> Tensor:
        return self.norm(self.blocks[1](self.blocks[0](self._pos_embed(self.patch_embed(x)))[:, :4]))


class OtherClasses(VisionTransformer):
    """The classifier sees another token."""

    def forward_head(self, x: Tensor, **_: Any) -> Tensor:
        return self.head(x[:, 1])


class Cosine(Attention):
    """Queries and keys are normalised, without a parameter of their own."""

    def forward(self, x: Tensor, **_: Any) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Windowed(Attention):
    """Tokens see those before them alone."""

    def forward(self, x: Tensor, **_: Any) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(mixed.transpose(1, 2).flatten(2))


DIFFERENT: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "Upside": (lambda: vit(Upside), "the tokens before the first layer"),
    "Shallow": (lambda: vit(Shallow), "the tokens that layer 1 is given are missing: its forward leaves layers out"),
    "Between": (lambda: vit(Between), "the tokens that layer 1 is given differ by up to"),
    "Short": (lambda: vit(Short), r"the tokens that layer 1 is given are \(4, 24\), and \(7, 24\) were expected"),
    "OtherClasses": (lambda: vit(OtherClasses), "the classes' values differ by"),
    "Cosine": (lambda: with_attention(Cosine), "the outputs of attention in layer 1 differ by"),
    "Windowed": (lambda: with_attention(Windowed), "the outputs of attention in layer 1 differ by"),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_it_is_refused_by_the_first_thing_that_differs(kind: str) -> None:
    make, message = DIFFERENT[kind]
    with pytest.raises(CheckpointError, match=rf"in memory: its class computes something else .*{message}"):
        load_model(make(), device="cpu")


def test_attention_that_layer_scale_hides_is_compared_too() -> None:
    model = with_attention(Windowed)
    for block in model.blocks:
        block.ls1, block.ls2 = Tiny(), Tiny()
    with pytest.raises(CheckpointError, match="the outputs of attention in layer 1 differ by"):
        load_model(model, device="cpu")


class Tiny(nn.Module):
    """LayerScale as it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((24,), 1e-7))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def test_parts_that_are_not_known_are_named() -> None:
    model = with_attention(Cosine)
    model.blocks[0].attn.rope = Rotary()
    with pytest.raises(
        CheckpointError, match=r"It also has parts that are unknown here: blocks\.0\.attn\.rope \(Rotary\)\."
    ):
        load_model(model, device="cpu")


class Rotary(nn.Module):
    """A part without tensors."""


@pytest.mark.parametrize("kind", ["eps", "number of heads"])
def test_layers_that_differ_are_refused(kind: str) -> None:
    model = vit()
    if kind == "eps":
        model.blocks[1].norm2.eps = 1e-3
    else:
        model.blocks[1].attn.num_heads = 6
    with pytest.raises(CheckpointError, match=rf"its layers must have one {kind}; .* has .*, blocks\.1\..* has"):
        load_model(model, device="cpu")


def test_an_activation_that_is_not_known_is_refused_by_its_name() -> None:
    model = vit(act_layer="relu")
    with pytest.raises(CheckpointError, match="its MLPs have the activation ReLU; known here are gelu, "):
        load_model(model, device="cpu")


def test_settings_of_dinov2_that_are_not_known_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"interpolate_offset 0\.1 and interpolate_antialias True; known here"):
        load_model(randomise(DinoV2(offset=0.1, antialias=True)), device="cpu")


class OtherPositions(Dino):
    """At other sizes than its own, positions are those of the first patches."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], dim=1)
        tokens = tokens + self.pos_embed[:, : tokens.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]


def test_another_way_to_resample_positions_is_stated() -> None:
    report = load_model(randomise(OtherPositions()), device="cpu").report
    assert "agree with the module's own" in report.verified
    assert report.verified.endswith("at 20×20 px")
    assert "resampled as its format has it, and the module does it in another way: at 8×12 px" in report.assumed[-1]


def test_a_library_whose_forward_fails_is_taken_and_the_reason_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vit()
    monkeypatch.setattr(VisionTransformer, "forward", needs_a_gpu)
    report = load_model(model, device="cpu").report
    assert report.verified == ""
    assert report.assumed[-1] == (
        "It was not compared with the module, whose own forward failed (at 20×28 px, RuntimeError: no GPU)."
    )


def needs_a_gpu(_: nn.Module, __: Tensor) -> Tensor:
    raise RuntimeError("no GPU")


def test_a_strange_class_whose_forward_fails_is_refused() -> None:
    model = vit(type("Strange", (VisionTransformer,), {"forward": needs_a_gpu}))
    with pytest.raises(CheckpointError, match=r"its forward failed \(at 20×28 px, RuntimeError: no GPU\).*Strange may"):
        load_model(model, device="cpu")


def test_memory_that_runs_out_in_its_forward_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: nn.Module, __: Tensor) -> Tensor:
        raise MemoryError

    monkeypatch.setattr(VisionTransformer, "forward", full)
    with pytest.raises(ResourceError, match="not enough memory to load timm VisionTransformer in memory"):
        load_model(vit(), device="cpu")
