"""The whole Vision Transformer: from pictures to tokens, through the blocks, to classes.

Dosovitskiy et al. 2021 (arXiv 2010.11929), with what later models added as options: registers, a distillation token,
LayerScale, gated MLPs, rotary positions. B is the batch, N the tokens, D the embedding dimension, H the heads.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vit_engine.errors import SpecError
from vit_engine.grid import whole_patches
from vit_engine.model.blocks import Block, LayerAttention, initialise_part
from vit_engine.model.positions import Rotation, patch_rotation, resample_positions, rope_periods
from vit_engine.model.streaming import AttentionPlan, explicit_weights
from vit_engine.spec import ModelSpec


class PatchEmbed(nn.Module):
    """A picture cut into patches, each projected to a token (eq. 1): a convolution as wide as its stride."""

    def __init__(self, spec: ModelSpec, *, in_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, spec.dim, spec.patch_size, stride=spec.patch_size, bias=spec.patch_bias)

    def forward(self, images: Float[Tensor, "B C height width"]) -> Float[Tensor, "B N D"]:
        return rearrange(self.proj(images), "b d rows cols -> b (rows cols) d")


@dataclass(frozen=True)
class LayerRecord:
    """The tokens (B, N, D) that a layer reads, and its attention where a plan asks for it."""

    tokens: Tensor
    attention: LayerAttention | None = None


def _tokens(count: int, dim: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(1, count, dim))


class VisionTransformer(nn.Module):
    """A Vision Transformer (ViT), with a classifier where the spec names classes.

    The position embedding is made for the spec's native size; pictures of any size in whole patches are accepted, the
    embedding is resampled to their grid. Tokens are CLS, a distillation token where the spec has one, registers,
    patches row by row; registers have no position. `drop_path` rises linearly over the blocks to the given rate.
    """

    rope_periods: Tensor | None

    def __init__(
        self,
        spec: ModelSpec,
        *,
        in_channels: int = 3,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        dim = spec.dim
        self.patch_size = spec.patch_size
        self.resampling = spec.resampling
        self.pooling = spec.pooling
        self.native_grid = spec.grid(*spec.native_size).shape
        self.with_position = 1 + spec.distilled  # tokens before the patches that have one

        self.patch_embed = PatchEmbed(spec, in_channels=in_channels)
        self.cls_token = _tokens(1, dim)
        self.dist_token = _tokens(1, dim) if spec.distilled else None
        self.register_tokens = _tokens(spec.registers, dim) if spec.registers else None
        learned = spec.positions == "learned"
        self.pos_embed = _tokens(self.with_position + math.prod(self.native_grid), dim) if learned else None
        self.register_buffer("rope_periods", None if learned else rope_periods(dim // spec.heads))
        self.pos_drop = nn.Dropout(dropout)
        self.norm_pre = nn.LayerNorm(dim, eps=spec.norm_eps) if spec.pre_norm else nn.Identity()
        rates = [drop_path * layer / max(1, spec.depth - 1) for layer in range(spec.depth)]
        self.blocks = nn.ModuleList(
            Block(spec, dropout=dropout, attention_dropout=attention_dropout, drop_path=rate) for rate in rates
        )
        self.norm = nn.LayerNorm(dim, eps=spec.norm_eps)
        features, classes = 2 * dim if spec.pooling == "cls_mean" else dim, len(spec.class_names)
        self.head = nn.Linear(features, classes) if classes else nn.Identity()
        self.head_dist = nn.Linear(dim, classes) if classes and spec.pooling == "cls_dist" else None
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights: truncated normal (std 0.02) for tokens, positions and linear layers.

        The patch projection is uniform, as in DINO. LayerScale begins at 1, and rotary periods are DINOv3's.
        """
        for tokens in (self.cls_token, self.dist_token, self.register_tokens, self.pos_embed):
            if tokens is not None:
                nn.init.trunc_normal_(tokens, std=0.02, generator=generator)
        if self.rope_periods is not None:
            self.rope_periods.copy_(rope_periods(4 * len(self.rope_periods)))
        bound = self.patch_embed.proj.weight[0].numel() ** -0.5
        for projection in self.patch_embed.proj.parameters():
            nn.init.uniform_(projection, -bound, bound, generator=generator)
        for module in self.modules():
            initialise_part(module, generator)

    @property
    def prefix(self) -> int:
        """Tokens before the patches: CLS, a distillation token if there is one, registers."""
        return self.with_position + (0 if self.register_tokens is None else self.register_tokens.shape[1])

    def embed(self, images: Float[Tensor, "B C height width"]) -> Float[Tensor, "B N D"]:
        """Tokens before the first block."""
        batch, grid = images.shape[0], self.grid_of(images)
        first = [self.cls_token] if self.dist_token is None else [self.cls_token, self.dist_token]
        tokens = torch.cat([*(token.expand(batch, -1, -1) for token in first), self.patch_embed(images)], dim=1)
        if self.pos_embed is not None:
            tokens = tokens + resample_positions(
                self.pos_embed,
                prefix=self.with_position,
                native=self.native_grid,
                target=grid,
                resampling=self.resampling,
            )
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, : self.with_position], registers, tokens[:, self.with_position :]], dim=1)
        return self.norm_pre(self.pos_drop(tokens))

    def grid_of(self, images: Float[Tensor, "B C height width"]) -> tuple[int, int]:
        """Patches (rows, cols); SpecError unless they are whole."""
        height, width = images.shape[-2:]
        return whole_patches(height, width, self.patch_size)

    def rotation(self, images: Float[Tensor, "B C height width"]) -> Rotation | None:
        """How queries and keys of the patches are rotated; None where positions are learned."""
        if self.rope_periods is None:
            return None
        return patch_rotation(self.rope_periods, self.grid_of(images), dtype=images.dtype)

    def forward(self, images: Float[Tensor, "B C height width"]) -> Tensor:
        """Class logits (B, classes), or without a classifier what it would see: (B, D) of the CLS token, mostly."""
        x, rotation = self.embed(images), self.rotation(images)
        for block in self.blocks:
            x = block(x, rotation)
        return self.classify(x)

    def classify(self, x: Float[Tensor, "B N D"]) -> Tensor:
        """The last block's tokens to what forward returns."""
        if self.head_dist is not None:
            x = self.norm(x[:, :2])
            return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2
        return self.head(self.pool(x))

    def pool(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B features"]:
        """The last block's tokens to what the classifier sees of a picture, or would see if there were one."""
        if self.pooling == "mean_norm":
            return self.norm(x[:, self.prefix :].mean(dim=1))
        if self.pooling == "mean":
            return self.norm(x[:, self.prefix :]).mean(dim=1)
        if self.pooling == "cls_mean":
            x = self.norm(x)
            return torch.cat([x[:, 0], x[:, self.prefix :].mean(dim=1)], dim=-1)
        return self.norm(x[:, 0])

    def record(
        self, images: Float[Tensor, "B C height width"], plans: Mapping[int, AttentionPlan], *, output: bool = True
    ) -> Iterator[tuple[int, LayerRecord]]:
        """(layer, record) of each layer, as soon as its attention is known. No gradients are kept.

        plans: what is wanted of attention, by layer; layers without one run plainly. Last come the number of layers and
        the tokens for classify(). With `output` False the run ends in the attention of the last layer that has a plan.
        Whoever drops each record before asking for the next leaves its memory to the layer's MLP.
        """
        last = len(self.blocks) if output else max(plans, default=-1)
        if last < 0:
            return
        with torch.no_grad():  # not as a decorator, which would hold each record until the next is there
            x, rotation = self.embed(images), self.rotation(images)
        for layer, block in enumerate(cast(Sequence[Block], self.blocks)):
            with torch.no_grad():
                attended, attention = block.attend(x, rotation, plans.get(layer), output=layer < last)
            yield layer, LayerRecord(x, attention)
            if attended is None:
                return
            del attention
            with torch.no_grad():
                x = block.add(x, attended)
        yield len(self.blocks), LayerRecord(x)

    def token_stream(self, images: Float[Tensor, "B C height width"]) -> Iterator[Tensor]:
        """The tokens (B, N, D) before the first block, and after each one as soon as it is done. No gradients."""
        with torch.no_grad():
            x, rotation = self.embed(images), self.rotation(images)
        for block in self.blocks:
            yield x
            with torch.no_grad():
                x = block(x, rotation)
        yield x

    def get_last_selfattention(self, x: Float[Tensor, "B C height width"]) -> Float[Tensor, "B H N N"]:
        """The last layer's attention weights, whole, as DINO's users know them: quadratic in memory."""
        x, rotation = self.embed(x), self.rotation(x)
        for block in self.blocks[:-1]:
            x = block(x, rotation)
        last = cast(Block, self.blocks[-1])
        q, k, _ = last.attn.queries_keys_values(last.norm1(x), rotation)
        return explicit_weights(q, k, scale=last.attn.scale)

    def get_intermediate_layers(self, x: Float[Tensor, "B C height width"], n: int = 1) -> list[Tensor]:
        """The tokens (B, N, D) after each of the last n blocks, normalised by the final norm."""
        if not 1 <= n <= len(self.blocks):
            raise SpecError(f"n must be in 1..{len(self.blocks)}; got {n}.")
        x, rotation = self.embed(x), self.rotation(x)
        outputs = []
        for layer, block in enumerate(self.blocks):
            x = block(x, rotation)
            if len(self.blocks) - layer <= n:
                outputs.append(self.norm(x))
        return outputs


# The usual sizes, with DINO's parameter names.
_BESIDE_SPEC = ("in_channels", "dropout", "attention_dropout", "drop_path")  # what a model takes and no spec says


def vit_tiny(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-Ti: D 192, 12 layers, 3 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return _preset("ViT-Ti", patch_size=patch_size, dim=192, heads=3, **options)


def vit_small(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-S: D 384, 12 layers, 6 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return _preset("ViT-S", patch_size=patch_size, dim=384, heads=6, **options)


def vit_base(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-B: D 768, 12 layers, 12 heads (Dosovitskiy et al. 2021, arXiv 2010.11929). Resampling "dino" by default."""
    return _preset("ViT-B", patch_size=patch_size, dim=768, heads=12, **options)


def _preset(
    name: str, *, image_size: tuple[int, int] = (224, 224), class_count: int = 0, **options: Any
) -> VisionTransformer:
    """image_size: (height, width) in pixels. class_count: 0 leaves the classifier out. options: of spec and model."""
    beside = {key: options.pop(key) for key in _BESIDE_SPEC if key in options}
    spec = ModelSpec(
        name=name,
        title=name,
        family="vit",
        native_size=image_size,
        class_names=tuple(f"class {number}" for number in range(class_count)),
        **{"depth": 12, "resampling": "dino", **options},
    )
    return VisionTransformer(spec, **beside)
