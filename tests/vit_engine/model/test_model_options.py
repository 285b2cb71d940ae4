"""What models differ in: each option by hand, or against the same thing said another way."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.vit_engine.model.builders import small_vit
from tests.vit_engine.model.test_model import build, pictures
from vit_engine.errors import SpecError
from vit_engine.model.blocks import MLPS, LayerScale
from vit_engine.model.positions import patch_rotation, resample_positions, rope_periods, rotate
from vit_engine.spec import MLP_KINDS, ModelSpec


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gelu", lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
        ("gelu_tanh", lambda x: x * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        ("quick_gelu", lambda x: x / (1 + math.exp(-1.702 * x))),
    ],
)
def test_activations_by_hand(kind: str, expected: Any) -> None:
    mlp = MLPS[kind](1, hidden=1).requires_grad_(False)
    for name, parameter in mlp.named_parameters():
        parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    for x in (-2.0, -0.3, 0.7, 3.0):
        assert mlp(torch.tensor([[x]])).item() == pytest.approx(expected(x), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "act"),
    [("swiglu", lambda x: x / (1 + math.exp(-x))), ("geglu", lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))],
)
def test_a_gated_mlp_by_hand(kind: str, act: Any) -> None:
    mlp = MLPS[kind](1, hidden=1).requires_grad_(False)
    mlp.w12.weight.copy_(torch.tensor([[2.0], [3.0]]))  # the gate, then what it lets through
    mlp.w12.bias.copy_(torch.tensor([0.5, -1.0]))
    mlp.w3.weight.fill_(4.0)
    mlp.w3.bias.fill_(0.25)
    gate, value = 2 * 0.6 + 0.5, 3 * 0.6 - 1
    assert mlp(torch.tensor([[0.6]])).item() == pytest.approx(4 * act(gate) * value + 0.25)


def test_every_kind_of_mlp_that_a_spec_may_name_is_there() -> None:
    assert tuple(MLPS) == MLP_KINDS


def test_layer_scale_multiplies_each_branch_before_it_is_added() -> None:
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1))
    block = filled(build(dim=8, heads=2, mlp_ratio=2.0, layer_scale=True).blocks[0])
    after = x + block.ls1.gamma * block.attn(block.norm1(x))
    torch.testing.assert_close(block(x), after + block.ls2.gamma * block.mlp(block.norm2(after)))
    assert [module.gamma.tolist() for module in build(layer_scale=True).modules() if isinstance(module, LayerScale)]
    fresh = small_vit(patch_size=4, dim=12, depth=1, heads=3, image_size=(12, 20), layer_scale=True)
    assert fresh.blocks[0].ls2.gamma.tolist() == [1.0] * 12


def test_the_epsilon_reaches_every_norm() -> None:
    norms = [module.eps for module in build(norm_eps=1e-3, pre_norm=True).modules() if isinstance(module, nn.LayerNorm)]
    assert norms == [1e-3] * (2 + 2 * 2)


def test_tokens_are_normalised_before_the_first_block_where_asked_for() -> None:
    plain, normed = build(), build(pre_norm=True)
    normed.load_state_dict({**plain.state_dict(), "norm_pre.weight": torch.ones(12), "norm_pre.bias": torch.zeros(12)})
    expected = functional.layer_norm(plain.embed(pictures()), (12,), eps=1e-6)
    torch.testing.assert_close(normed.embed(pictures()), expected)


def test_a_patch_projection_may_have_no_bias() -> None:
    assert "patch_embed.proj.bias" not in build(patch_bias=False).state_dict()


def test_the_distillation_token_stands_after_cls_and_has_a_position() -> None:
    model = build(distilled=True, registers=1)
    tokens = model.embed(pictures(12, 20))
    assert model.prefix == 3
    assert model.pos_embed.shape == (1, 2 + 15, 12)
    torch.testing.assert_close(tokens[0, 0], model.cls_token[0, 0] + model.pos_embed[0, 0])
    torch.testing.assert_close(tokens[0, 1], model.dist_token[0, 0] + model.pos_embed[0, 1])
    torch.testing.assert_close(tokens[0, 2], model.register_tokens[0, 0])
    plain = build().embed(pictures(12, 20))
    assert tokens.shape[1] == plain.shape[1] + 2


@pytest.mark.parametrize("pooling", ["cls", "cls_dist", "mean", "mean_norm", "cls_mean"])
def test_what_the_classifier_sees(pooling: str) -> None:
    model, images = build(distilled=True, registers=1, class_count=5, pooling=pooling), pictures()
    x = model.embed(images)
    for block in model.blocks:
        x = block(x)
    y = model.norm(x)
    expected = {
        "cls": lambda: model.head(y[:, 0]),
        "cls_dist": lambda: (model.head(y[:, 0]) + model.head_dist(y[:, 1])) / 2,
        "mean": lambda: model.head(y[:, 3:].mean(dim=1)),
        "mean_norm": lambda: model.head(model.norm(x[:, 3:].mean(dim=1))),
        "cls_mean": lambda: model.head(torch.cat([y[:, 0], y[:, 3:].mean(dim=1)], dim=1)),
    }
    torch.testing.assert_close(model(images), expected[pooling]())


def test_rotary_periods_are_dinov3s() -> None:
    torch.testing.assert_close(rope_periods(16), torch.tensor([1.0, 100**0.25, 10.0, 100**0.75]))
    with pytest.raises(SpecError, match="multiple of 4 dimensions; got 6"):
        rope_periods(6)


def test_rotation_of_one_patch_by_hand() -> None:
    """Two rows of one patch: their places are −1/2 and 1/2 down, and 0 across."""
    rotation = patch_rotation(torch.tensor([2.0]), (2, 1), dtype=torch.float32)
    turned = rotate(torch.tensor([[9.0, 9.0, 9.0, 9.0], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]), rotation)
    # the angle of the second row is 2π · ½ / 2 = π / 2: (x, z) of the first quarter and the third turn, (y, w) stay
    expected = torch.tensor([[9.0, 9.0, 9.0, 9.0], [3.0, 2.0, -1.0, 4.0], [-3.0, 2.0, 1.0, 4.0]])
    torch.testing.assert_close(turned, expected)


def test_rotated_scores_depend_on_how_far_patches_are_apart_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    q, k = (torch.randn(12, generator=generator).expand(1 + 5 * 7, 12) for _ in range(2))
    rotation = patch_rotation(rope_periods(12), (5, 7), dtype=torch.float32)
    scores = (rotate(q, rotation) @ rotate(k, rotation).mT)[1:, 1:].unflatten(0, (5, 7)).unflatten(2, (5, 7))
    torch.testing.assert_close(scores[0, 0, 2, 3], scores[2, 3, 4, 6])
    torch.testing.assert_close(scores[4, 1, 1, 5], scores[3, 0, 0, 4])
    assert not torch.allclose(scores[0, 0, 2, 3], scores[0, 0, 3, 2], atol=1e-3), "rows and columns are told apart"


def test_a_rotary_model_has_no_positions_and_hands_out_rotated_queries() -> None:
    model, images = build(dim=24, positions="rope", registers=2), pictures()
    assert model.pos_embed is None
    assert model.state_dict()["rope_periods"].shape == (24 // 3 // 4,)
    weights = model.get_last_selfattention(images)
    x, rotation = model.embed(images), model.rotation(images)
    x = model.blocks[0](x, rotation)
    last = model.blocks[1]
    q, k, v = last.attn.queries_keys_values(last.norm1(x), rotation)
    torch.testing.assert_close(last.attn.project(weights @ v), last.attn(last.norm1(x), rotation))
    unturned, _, _ = last.attn.queries_keys_values(last.norm1(x))
    torch.testing.assert_close(q[:, :, :3], unturned[:, :, :3])
    assert not torch.allclose(q[:, :, 3:], unturned[:, :, 3:], atol=1e-2)
    torch.testing.assert_close(q.norm(dim=-1), unturned.norm(dim=-1))
    torch.testing.assert_close(model.get_intermediate_layers(images, 1)[0], model.norm(last(x, rotation)))
    assert k.shape == q.shape


@pytest.mark.parametrize("resampling", ["antialias", "corners"])
@pytest.mark.parametrize("target", [(3, 4), (11, 9)])
def test_antialias_and_corners_are_what_they_are_called(resampling: str, target: tuple[int, int]) -> None:
    native = torch.randn(1, 2 + 35, 6, generator=torch.Generator().manual_seed(0))
    grid = native[:, 2:].unflatten(1, (5, 7)).permute(0, 3, 1, 2)
    options = {"antialias": {"antialias": True}, "corners": {"align_corners": True}}[resampling]
    expected = functional.interpolate(grid, size=target, mode="bicubic", **options).flatten(2).mT
    got = resample_positions(native, prefix=2, native=(5, 7), target=target, resampling=resampling)
    torch.testing.assert_close(got, torch.cat([native[:, :2], expected], dim=1))
    if resampling == "corners":
        torch.testing.assert_close(got[0, 2], native[0, 2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got[0, -1], native[0, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mlp": "relu"}, "mlp must be one of 'gelu', 'gelu_tanh', 'quick_gelu', 'swiglu', 'geglu'; got 'relu'"),
        ({"positions": "sine"}, "positions must be one of 'learned', 'rope'; got 'sine'"),
        ({"pooling": "max"}, "pooling must be one of 'cls', .*; got 'max'"),
        ({"positions": "rope", "dim": 18}, "heads of a multiple of 4 dimensions; got 6"),
        ({"pooling": "cls_dist", "class_count": 2}, "pooling 'cls_dist' needs a distillation token"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(**options)
    if "class_count" not in options:
        fields = {
            "name": "m",
            "title": "m",
            "family": "",
            "patch_size": 4,
            "depth": 1,
            "heads": 3,
            "native_size": (4, 4),
        }
        with pytest.raises(SpecError, match=message):
            ModelSpec(**{"dim": 12, **fields, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"distilled": True, "pooling": "cls_dist", "registers": 2},
        {"mlp": "swiglu", "layer_scale": True},
        {"mlp": "geglu"},
        {"mlp": "quick_gelu", "pre_norm": True, "patch_bias": False, "qkv_bias": False},
        {"positions": "rope", "registers": 4, "pooling": "cls_mean"},
    ],
)
def test_a_spec_counts_the_parameters_of_its_model(options: dict[str, Any]) -> None:
    fields = {"name": "m", "title": "m", "family": "", "patch_size": 4, "dim": 24, "depth": 2, "heads": 3}
    spec = ModelSpec(**fields, native_size=(12, 20), class_names=("ant", "bee", "cat"), **options)
    model = build(dim=24, class_count=3, **options)
    assert spec.parameter_count == sum(parameter.numel() for parameter in model.parameters())
