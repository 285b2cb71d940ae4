"""The Vision Transformer: the equations and nothing else.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (arXiv 2010.11929). Parameter names are
those of facebookresearch/dino, so its state dicts load as they are. B is the batch, N the tokens,
D the embedding dimension, H the heads, d = D / H.

Attention is returned by the forward pass when an AttentionPlan asks for it. Nothing is kept on the
modules, so one model serves any number of threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vit_engine.errors import SpecError
from vit_engine.positions import resample_positions
from vit_engine.spec import whole_patches
from vit_engine.streaming import AttentionPlan, StreamedAttention, explicit_weights, stream_attention


@dataclass(frozen=True)
class LayerAttention:
    """Queries and keys (B, H, N, d), scale, and streamed results. The former are views that keep the values alive."""

    queries: Tensor
    keys: Tensor
    scale: float
    streamed: StreamedAttention


class PatchEmbed(nn.Module):
    """A picture cut into patches, each projected to a token (eq. 1): a convolution as wide as its stride."""

    def __init__(self, *, patch_size: int, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Float[Tensor, "B C height width"]) -> Float[Tensor, "B N D"]:
        return rearrange(self.proj(images), "b d rows cols -> b (rows cols) d")


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q kᵀ / √d) v for each head, heads joined and projected (eq. 5-8)."""

    def __init__(self, dim: int, *, heads: int, qkv_bias: bool, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.attention_dropout = attention_dropout
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(dropout)

    def queries_keys_values(self, x: Float[Tensor, "B N D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Each (B, H, N, d)."""
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        return q, k, v

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        q, k, v = self.queries_keys_values(x)
        dropout = self.attention_dropout if self.training else 0.0
        return self.project(functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=self.scale))

    def record(self, x: Float[Tensor, "B N D"], plan: AttentionPlan) -> LayerAttention:
        """The attention of these tokens as the plan asks for it; without dropout, its output not yet projected."""
        q, k, v = self.queries_keys_values(x)
        return LayerAttention(q, k, self.scale, stream_attention(q, k, v, scale=self.scale, plan=plan))

    def project(self, mixed: Float[Tensor, "B H N d"]) -> Float[Tensor, "B N D"]:
        """Heads joined, and the linear layer that follows."""
        return self.proj_drop(self.proj(rearrange(mixed, "b h n d -> b n (h d)")))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class DropPath(nn.Module):
    """Stochastic depth: while training, a residual branch is left out for a share of the samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.rand(x.shape[0], 1, 1, device=x.device) >= self.rate
        return x * keep.to(x.dtype) / (1.0 - self.rate)


class Block(nn.Module):
    """Pre-norm transformer block: attention, then MLP, each added to the stream (eq. 2, 3)."""

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        mlp_ratio: float,
        qkv_bias: bool,
        dropout: float,
        attention_dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads=heads, qkv_bias=qkv_bias, dropout=dropout, attention_dropout=attention_dropout)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, hidden=round(dim * mlp_ratio), dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return self.add(x, self.attn(self.norm1(x)))

    def add(self, x: Float[Tensor, "B N D"], attended: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """The tokens after the block, once attention is known: both residual branches added (eq. 2, 3)."""
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """A Vision Transformer (ViT).

    `image_size`, (height, width) in pixels, is the size that the position embedding is made for;
    pictures of any size in whole patches are accepted, the embedding is resampled to their grid.
    Tokens are CLS, registers, patches row by row; registers have no position. `class_count` 0
    leaves the classifier out. `drop_path` rises linearly over the blocks to the given rate.
    """

    def __init__(
        self,
        *,
        patch_size: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        image_size: tuple[int, int] = (224, 224),
        in_channels: int = 3,
        registers: int = 0,
        class_count: int = 0,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
        resampling: str = "bicubic",
    ) -> None:
        super().__init__()
        if dim % heads:
            raise SpecError(f"dim must be a multiple of heads; got dim {dim} and {heads} heads.")
        self.patch_size = patch_size
        self.resampling = resampling
        self.native_grid = whole_patches(*image_size, patch_size)
        patches = self.native_grid[0] * self.native_grid[1]

        self.patch_embed = PatchEmbed(patch_size=patch_size, in_channels=in_channels, dim=dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, dim)) if registers else None
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, dim))
        self.pos_drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                heads=heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                dropout=dropout,
                attention_dropout=attention_dropout,
                drop_path=drop_path * layer / max(1, depth - 1),
            )
            for layer in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, class_count) if class_count else nn.Identity()
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights: truncated normal (std 0.02) for tokens, positions and linear layers.

        The patch projection keeps the convolution's usual uniform range, as in DINO.
        """
        for tokens in (self.cls_token, self.register_tokens, self.pos_embed):
            if tokens is not None:
                nn.init.trunc_normal_(tokens, std=0.02, generator=generator)
        bound = self.patch_embed.proj.weight[0].numel() ** -0.5
        for projection in self.patch_embed.proj.parameters():
            nn.init.uniform_(projection, -bound, bound, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    @property
    def prefix(self) -> int:
        """Tokens before the patches: CLS, then registers."""
        return 1 + (0 if self.register_tokens is None else self.register_tokens.shape[1])

    def embed(self, images: Float[Tensor, "B C height width"]) -> Float[Tensor, "B N D"]:
        """Tokens before the first block."""
        height, width = images.shape[-2:]
        grid = whole_patches(height, width, self.patch_size)
        positions = resample_positions(
            self.pos_embed, prefix=1, native=self.native_grid, target=grid, resampling=self.resampling
        )
        batch = images.shape[0]
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1), self.patch_embed(images)], dim=1) + positions
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(batch, -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        return self.pos_drop(tokens)

    def forward(self, images: Float[Tensor, "B C height width"]) -> Tensor:
        """Class logits (B, classes), or without a classifier the normalised CLS token (B, D)."""
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        return self.classify(x)

    def classify(self, x: Float[Tensor, "B N D"]) -> Tensor:
        """The last block's tokens to what forward returns."""
        return self.head(self.norm(x)[:, 0])

    @torch.no_grad()
    def forward_with_attention(
        self,
        images: Float[Tensor, "B C height width"],
        plan_of: Callable[[int], AttentionPlan | None],
        on_layer: Callable[[int, LayerAttention | None], None],
        *,
        output: bool = True,
    ) -> Tensor | None:
        """As forward; each layer's record is handed to `on_layer(layer, record)`. No gradients are kept.

        `plan_of(layer)` says what is wanted of a layer; None runs it plainly and its record is None.
        Records are handed over one by one and then let go, so that the caller decides what stays in
        memory. With `output` False only records are wanted: the run ends in the attention of the last
        layer that has a plan, and None is returned.
        """
        plans = [plan_of(layer) for layer in range(len(self.blocks))]
        last = max((layer for layer, plan in enumerate(plans) if plan is not None), default=-1)
        if not output and last < 0:
            return None
        x = self.embed(images)
        for layer, (block, plan) in enumerate(zip(cast(Sequence[Block], self.blocks), plans, strict=True)):
            if plan is None:
                x = block(x)
                on_layer(layer, None)
                continue
            needed = output or layer < last
            record = block.attn.record(block.norm1(x), replace(plan, output=needed))
            on_layer(layer, record)
            mixed = record.streamed.output
            del record  # the MLP needs the memory
            if mixed is None:
                return None
            x = block.add(x, block.attn.project(mixed))
        return self.classify(x)

    def get_last_selfattention(self, x: Float[Tensor, "B C height width"]) -> Float[Tensor, "B H N N"]:
        """The last layer's attention weights, whole, as DINO's users know them: quadratic in memory."""
        x = self.embed(x)
        for block in self.blocks[:-1]:
            x = block(x)
        last = cast(Block, self.blocks[-1])
        q, k, _ = last.attn.queries_keys_values(last.norm1(x))
        return explicit_weights(q, k, scale=last.attn.scale)

    def get_intermediate_layers(self, x: Float[Tensor, "B C height width"], n: int = 1) -> list[Tensor]:
        """The tokens (B, N, D) after each of the last n blocks, normalised by the final norm."""
        if not 1 <= n <= len(self.blocks):
            raise SpecError(f"n must be in 1..{len(self.blocks)}; got {n}.")
        x = self.embed(x)
        outputs = []
        for layer, block in enumerate(self.blocks):
            x = block(x)
            if len(self.blocks) - layer <= n:
                outputs.append(self.norm(x))
        return outputs
