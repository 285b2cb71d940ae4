"""The model computes what the papers say, under DINO's names."""

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.vit_engine.model.builders import small_vit
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.model import Attention, DropPath, Mlp, VisionTransformer
from vit_engine.model.streaming import AttentionPlan
from vit_engine.model.vit import vit_base, vit_small, vit_tiny

BLOCK = [
    "norm1.weight",
    "norm1.bias",
    "attn.qkv.weight",
    "attn.qkv.bias",
    "attn.proj.weight",
    "attn.proj.bias",
    "norm2.weight",
    "norm2.bias",
    "mlp.fc1.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
    "mlp.fc2.bias",
]


def build(**options: object) -> VisionTransformer:
    """Native grid 3×5, three heads, two layers, weights large enough to matter; in eval mode."""
    settings = {"patch_size": 4, "dim": 12, "depth": 2, "heads": 3, "image_size": (12, 20), **options}
    model = small_vit(**settings).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    model.initialise(generator)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return model


def pictures(height: int = 20, width: int = 28, *, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_parameters_have_dinos_names_in_dinos_order() -> None:
    names = list(build(class_count=7).state_dict())
    blocks = [f"blocks.{layer}.{name}" for layer in range(2) for name in BLOCK]
    first = ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    assert names == [*first, *blocks, "norm.weight", "norm.bias", "head.weight", "head.bias"]


def test_registers_and_biases_are_there_when_asked_for() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in build(registers=2, qkv_bias=False).state_dict().items()}
    assert shapes["register_tokens"] == (1, 2, 12)
    assert shapes["pos_embed"] == (1, 1 + 3 * 5, 12)
    assert "blocks.0.attn.qkv.bias" not in shapes
    assert "head.weight" not in shapes


@pytest.mark.parametrize(
    ("preset", "dim", "heads", "parameters"),
    [(vit_tiny, 192, 3, 5_524_416), (vit_small, 384, 6, 21_665_664), (vit_base, 768, 12, 85_798_656)],
)
def test_presets_are_the_published_sizes(
    preset: Callable[..., VisionTransformer], dim: int, heads: int, parameters: int
) -> None:
    with torch.device("meta"):
        model, finer = preset(), preset(8, class_count=10)
    assert (model.pos_embed.shape[2], len(model.blocks), model.blocks[0].attn.heads) == (dim, 12, heads)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.patch_embed.proj.weight.shape == (dim, 3, 16, 16)
    assert finer.pos_embed.shape == (1, 1 + 28 * 28, dim)
    assert finer.head.weight.shape == (10, dim)


@pytest.mark.parametrize("preset", [vit_tiny, vit_small, vit_base])
def test_presets_resample_positions_as_dino_does_unless_told_otherwise(
    preset: Callable[..., VisionTransformer],
) -> None:
    with torch.device("meta"):
        assert (preset().resampling, preset(resampling="bicubic").resampling) == ("dino", "bicubic")
        assert small_vit(patch_size=16, dim=3, depth=1, heads=3).resampling == "bicubic"


def test_fresh_weights_are_truncated_normal_with_std_0_02() -> None:
    model = small_vit(patch_size=16, dim=96, depth=1, heads=2, registers=50)
    block = model.blocks[0]
    for tensor in (model.pos_embed, model.register_tokens, block.attn.qkv.weight, block.mlp.fc2.weight):
        assert tensor.std().item() == pytest.approx(0.02, rel=0.05)
        assert abs(tensor.mean().item()) < 0.002
    assert block.attn.proj.bias.abs().max() == 0
    assert (block.norm1.weight == 1).all()


@pytest.mark.parametrize("registers", [0, 2])
def test_tokens_are_cls_registers_and_patches_row_by_row(registers: int) -> None:
    model, images = build(registers=registers), pictures(12, 20)
    tokens = model.embed(images)
    assert model.prefix == 1 + registers
    assert tokens.shape == (2, 1 + registers + 15, 12)
    torch.testing.assert_close(tokens[1, 0], model.cls_token[0, 0] + model.pos_embed[0, 0])
    if registers:  # which have no position
        torch.testing.assert_close(tokens[1, 1:3], model.register_tokens[0])
    for row, col in ((0, 0), (0, 4), (2, 1)):
        patch = images[1, :, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        projected = (model.patch_embed.proj.weight * patch).sum(dim=(1, 2, 3)) + model.patch_embed.proj.bias
        index = row * 5 + col
        torch.testing.assert_close(tokens[1, model.prefix + index], projected + model.pos_embed[0, 1 + index])


def test_attention_of_three_tokens_by_hand() -> None:
    attention = Attention(2, heads=2, qkv_bias=True, dropout=0.0, attention_dropout=0.0)
    with torch.no_grad():
        for layer in (attention.qkv, attention.proj):
            layer.weight.zero_()
            layer.bias.zero_()
        attention.qkv.bias[0] = 1  # head 0 asks for its key as it is; head 1 asks for nothing
        attention.qkv.weight[2, 0] = attention.qkv.weight[4, 1] = attention.qkv.weight[5, 1] = 1
        attention.proj.weight.copy_(torch.eye(2))
    x = torch.tensor([[[0.0, 8.0], [torch.log(torch.tensor(3.0)), 16.0], [0.0, 32.0]]])
    out = attention(x)
    expected = torch.tensor([(8 + 3 * 16 + 32) / 5, (8 + 16 + 32) / 3]).expand(1, 3, 2)
    torch.testing.assert_close(out, expected)


def test_scores_are_scaled_by_the_root_of_the_head_dimension() -> None:
    assert Attention(36, heads=4, qkv_bias=True, dropout=0.0, attention_dropout=0.0).scale == pytest.approx(1 / 3)


@pytest.mark.parametrize("class_count", [0, 7])
@pytest.mark.parametrize("size", [(12, 20), (20, 28), (4, 44)])
def test_records_have_each_layers_tokens_and_planned_attention_and_end_in_the_output_of_forward(
    class_count: int, size: tuple[int, int]
) -> None:
    model, images = build(registers=2, class_count=class_count), pictures(*size)
    plan = AttentionPlan(TokenGrid(3, size[0] // 4, size[1] // 4, 4))
    records = dict(model.record(images, {1: plan}))
    assert list(records) == [0, 1, 2]
    out = model.classify(records[2].tokens)
    assert out.shape == (2, class_count or 12)
    torch.testing.assert_close(out, model(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(records[0].tokens, model.embed(images))
    torch.testing.assert_close(records[1].tokens, model.blocks[0](model.embed(images)))
    assert records[0].attention is records[2].attention is None
    attention = records[1].attention
    assert attention.queries.shape == attention.keys.shape == (2, 3, plan.grid.tokens, 4)


def test_records_keep_no_gradients_and_leave_the_callers_setting_alone() -> None:
    model, images = build().requires_grad_(), pictures()
    with torch.enable_grad():
        for _, record in model.record(images, {0: AttentionPlan(TokenGrid(1, 5, 7, 4))}):
            assert not record.tokens.requires_grad
            assert torch.is_grad_enabled()
            assert record.attention is None or not record.attention.queries.requires_grad


def test_without_output_the_run_ends_in_the_attention_of_the_last_layer_with_a_plan() -> None:
    model, plan, ran = build(depth=3), AttentionPlan(TokenGrid(1, 5, 7, 4)), []
    for layer, block in enumerate(model.blocks):
        block.mlp.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    records = dict(model.record(pictures(), {1: plan}, output=False))
    assert list(records) == [0, 1]
    assert records[1].attention.streamed.output is None
    assert ran == [0]
    assert list(model.record(pictures(), {}, output=False)) == []


def test_nothing_of_a_layers_attention_is_left_while_its_mlp_runs() -> None:
    model, plan = build(), AttentionPlan(TokenGrid(1, 5, 7, 4))
    queries: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []
    for block in model.blocks:
        block.mlp.register_forward_pre_hook(lambda *_: alive.append(queries[-1]() is not None))
    for layer, record in model.record(pictures(), {0: plan, 1: plan}):
        if layer < 2:
            queries.append(weakref.ref(record.attention.queries))
        del record
    assert alive == [False, False]


def test_without_a_classifier_forward_is_the_normalised_cls_token() -> None:
    model, images = build(), pictures()
    torch.testing.assert_close(model(images), model.get_intermediate_layers(images)[0][:, 0])


@pytest.mark.parametrize("size", [(12, 20), (20, 28)])
def test_last_selfattention_is_the_last_layers_softmax(size: tuple[int, int]) -> None:
    model, images = build(registers=2), pictures(*size)
    weights = model.get_last_selfattention(images)
    tokens = 3 + size[0] * size[1] // 16
    x = model.blocks[0](model.embed(images))
    last = model.blocks[1]
    q, k, v = last.attn.qkv(last.norm1(x)).view(2, tokens, 3, 3, 4).permute(2, 0, 3, 1, 4)
    torch.testing.assert_close(weights, (q @ k.mT / 2).softmax(dim=-1))
    mixed = (weights @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(last.attn.proj(mixed), last.attn(last.norm1(x)))


def test_intermediate_layers_are_the_last_n_normalised_in_order() -> None:
    model, images = build(depth=3, class_count=7), pictures()
    x, expected = model.embed(images), []
    for block in model.blocks:
        x = block(x)
        expected.append(model.norm(x))
    for n in (1, 2, 3):
        got = model.get_intermediate_layers(images, n)
        assert [tuple(tokens.shape) for tokens in got] == [(2, 36, 12)] * n
        for tokens, wanted in zip(got, expected[-n:], strict=True):
            torch.testing.assert_close(tokens, wanted)
    torch.testing.assert_close(model.head(got[-1][:, 0]), model(images))


def test_the_way_of_resampling_reaches_the_positions() -> None:
    images = pictures()
    outputs = {name: build(resampling=name)(images) for name in ("dino", "bicubic")}
    assert not torch.allclose(outputs["dino"], outputs["bicubic"], atol=1e-3)
    native = pictures(12, 20)
    torch.testing.assert_close(build(resampling="dino")(native), build(resampling="bicubic")(native))


def test_drop_path_rises_linearly_over_the_blocks() -> None:
    rates = [block.drop_path.rate for block in build(depth=5, drop_path=0.4).blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert build(depth=1, drop_path=0.4).blocks[0].drop_path.rate == 0.0


def test_drop_path_leaves_out_whole_samples_and_keeps_the_mean() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        out = DropPath(0.25).train()(torch.ones(4000, 2, 3))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out == out[:, :1, :1]).all()
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    assert (DropPath(0.25).eval()(torch.ones(50, 2, 3)) == 1).all()


@pytest.mark.parametrize("option", ["dropout", "attention_dropout", "drop_path"])
def test_random_dropping_happens_only_in_training(option: str) -> None:
    plain, model = build(), build(**{option: 0.5})
    images = pictures(count=8)
    torch.testing.assert_close(model.eval()(images), plain(images))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.allclose(model.train()(images), plain(images), atol=1e-3)


def test_every_dropout_of_the_model_has_the_rate_asked_for() -> None:
    rates = {name: module.p for name, module in build(dropout=0.3).named_modules() if isinstance(module, nn.Dropout)}
    per_block = [f"blocks.{layer}.{name}" for layer in range(2) for name in ("attn.proj_drop", "mlp.drop")]
    assert rates == dict.fromkeys(["pos_drop", *per_block], 0.3)


def test_the_mlp_is_two_layers_with_an_exact_gelu_between() -> None:
    mlp = Mlp(1, hidden=1, dropout=0.0)
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.fill_(1.0)
    x = torch.tensor([[0.5]])
    gelu = 1.5 * 0.5 * (1 + torch.erf(torch.tensor(1.5 / 2**0.5)))
    torch.testing.assert_close(mlp(x), gelu.view(1, 1) + 1, rtol=1e-6, atol=1e-6)
    assert build(mlp_ratio=2.0).blocks[0].mlp.fc1.weight.shape == (24, 12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build(heads=5), "dim must be a multiple of heads for 'small'; got dim 12, 5 heads"),
        (lambda: build(image_size=(12, 21)), r"whole patches of 4 px for 'small'; got \(12, 21\)"),
        (lambda: build()(pictures(18, 28)), "multiples of the patch size, 4 px; got 18×28"),
        (lambda: build()(pictures(0, 28)), "positive multiples"),
        (lambda: build().get_intermediate_layers(pictures(), 3), r"n must be in 1\.\.2; got 3"),
        (lambda: build().get_intermediate_layers(pictures(), 0), r"n must be in 1\.\.2; got 0"),
        (
            lambda: build(resampling="nearest")(pictures()),
            r"\['antialias', 'bicubic', 'corners', 'dino'\]; got 'nearest'",
        ),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()
