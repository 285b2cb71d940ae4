"""Small modules built as those of the original repositories, whose packages are not installed: random, in eval mode.

Structure, names and forward are those of facebookresearch/dino, dinov2, dinov3, mae and of openai/CLIP and open_clip.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

DIM, HEADS, DEPTH, PATCH, SIDE = 24, 3, 2, 4, 20  # SIDE in pixels
GRID = (SIDE // PATCH, SIDE // PATCH)


class PatchEmbed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).flatten(2).mT)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.scale = HEADS, (DIM // HEADS) ** -0.5
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.attn_drop, self.proj_drop = nn.Dropout(0.5), nn.Dropout(0.5)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor] | None = None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if rope is not None:
            q, k = rotated(q, *rope), rotated(k, *rope)
        weights = self.attn_drop((q @ k.mT * self.scale).softmax(dim=-1))
        return self.proj_drop(self.proj((weights @ v).transpose(1, 2).flatten(2)))


class Mlp(nn.Module):
    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(DIM, 40), act, nn.Linear(40, DIM)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.act(self.fc1(x))))


class LayerScale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(DIM))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, *, scaled: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(DIM, eps=eps), Attention()
        self.ls1, self.ls2 = (LayerScale() if scaled else nn.Identity() for _ in range(2))
        self.norm2, self.mlp = nn.LayerNorm(DIM, eps=eps), Mlp(nn.GELU())

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rope))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Dino(nn.Module):
    """vision_transformer.py of facebookresearch/dino."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(GRID), DIM))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(DIM, eps=1e-6), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        positions = interpolated(self.pos_embed, (x.shape[2] // PATCH, x.shape[3] // PATCH), offset=0.1)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], dim=1) + positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class DinoV2(nn.Module):
    """models/vision_transformer.py of facebookresearch/dinov2."""

    def __init__(self, *, registers: int = 0, offset: float = 0.1, antialias: bool = False) -> None:
        super().__init__()
        self.interpolate_offset, self.interpolate_antialias = offset, antialias
        self.num_heads, self.patch_size = HEADS, PATCH
        self.patch_embed = PatchEmbed()
        self.cls_token, self.mask_token = nn.Parameter(torch.zeros(1, 1, DIM)), nn.Parameter(torch.zeros(1, DIM))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(GRID), DIM))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, DIM)) if registers else None
        self.blocks = nn.ModuleList(Block(scaled=True) for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(DIM, eps=1e-6), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        grid = (x.shape[2] // PATCH, x.shape[3] // PATCH)
        positions = interpolated(
            self.pos_embed, grid, offset=self.interpolate_offset, antialias=self.interpolate_antialias
        )
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], dim=1) + positions
        if self.register_tokens is not None:
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class RopeEmbed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("periods", 100.0 ** (torch.arange(DIM // HEADS // 4) * 4 / (DIM // HEADS)))

    def forward(self, rows: int, cols: int) -> tuple[Tensor, Tensor]:
        places = [(torch.arange(side) + 0.5) / side * 2 - 1 for side in (rows, cols)]
        at = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1).flatten(0, 1)
        angles = (2 * math.pi * at[:, :, None] / self.periods).flatten(1).tile(2)
        return angles.sin(), angles.cos()


class LinearKMaskedBias(nn.Linear):
    def __init__(self) -> None:
        super().__init__(DIM, 3 * DIM)
        self.register_buffer("bias_mask", torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(DIM))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias * self.bias_mask)


class ListBlock(Block):
    """DINOv3 runs its blocks on lists of pictures of several sizes."""

    def __init__(self) -> None:
        super().__init__(scaled=True, eps=1e-5)
        self.attn.qkv = LinearKMaskedBias()

    def forward(self, x_list: list[Tensor], rope_list: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        return [super(ListBlock, self).forward(x, rope) for x, rope in zip(x_list, rope_list, strict=True)]


class DinoV3(nn.Module):
    """models/vision_transformer.py of facebookresearch/dinov3."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed, self.rope_embed = PatchEmbed(), RopeEmbed()
        self.cls_token, self.mask_token = nn.Parameter(torch.zeros(1, 1, DIM)), nn.Parameter(torch.zeros(1, DIM))
        self.storage_tokens = nn.Parameter(torch.zeros(1, 2, DIM))
        self.blocks = nn.ModuleList(ListBlock() for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(DIM, eps=1e-5), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        rope = self.rope_embed(x.shape[2] // PATCH, x.shape[3] // PATCH)
        first = torch.cat([self.cls_token, self.storage_tokens], dim=1).expand(len(x), -1, -1)
        tokens = [torch.cat([first, self.patch_embed(x)], dim=1)]
        for block in self.blocks:
            tokens = block(tokens, [rope])
        return self.head(self.norm(tokens[0])[:, 0])


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    def __init__(self, *, batch_first: bool, act: nn.Module) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(DIM, HEADS, batch_first=batch_first)
        self.ln_1, self.ln_2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(DIM, 40))
        self.mlp.add_module("gelu", act)
        self.mlp.add_module("c_proj", nn.Linear(40, DIM))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(ResidualAttentionBlock(**options) for _ in range(DEPTH)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class ClipVisual(nn.Module):
    """The visual transformer of openai/CLIP, tokens first; open_clip's is like it, with pictures first and a GELU."""

    def __init__(self, *, batch_first: bool = False, act: nn.Module | None = None) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.conv1 = nn.Conv2d(3, DIM, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(DIM))
        self.positional_embedding = nn.Parameter(torch.zeros(1 + math.prod(GRID), DIM))
        self.ln_pre, self.ln_post = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.transformer = Transformer(batch_first=batch_first, act=act or QuickGELU())
        self.proj = nn.Parameter(torch.zeros(DIM, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).flatten(2).mT
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        x = self.ln_pre(x)
        x = self.transformer(x) if self.batch_first else self.transformer(x.transpose(0, 1)).transpose(0, 1)
        return self.ln_post(x[:, 0]) @ self.proj


class Clip(nn.Module):
    """A whole CLIP: its forward takes texts, too."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = ClipVisual()
        self.transformer = Transformer(batch_first=True, act=QuickGELU())
        self.token_embedding, self.ln_final = nn.Embedding(9, DIM), nn.LayerNorm(DIM)
        self.positional_embedding = nn.Parameter(torch.zeros(7, DIM))
        self.text_projection, self.logit_scale = nn.Parameter(torch.zeros(DIM, 7)), nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return self.visual(image) @ self.token_embedding(text).mean(dim=1).T


class Mae(nn.Module):
    """models_mae.py of facebookresearch/mae: patches are shuffled, and most of them hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(GRID), DIM), requires_grad=False)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(DIM, eps=1e-6)
        self.decoder_embed, self.mask_token = nn.Linear(DIM, 8), nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, imgs: Tensor, mask_ratio: float = 0.75) -> Tensor:
        x = self.patch_embed(imgs) + self.pos_embed[:, 1:]
        order = torch.rand(x.shape[1]).argsort()[: round(x.shape[1] * (1 - mask_ratio))]
        x = torch.cat([self.cls_token + self.pos_embed[:, :1], x[:, order]], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.decoder_embed(self.norm(x)).square().mean()


def rotated(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    prefix, patches = x[..., : -len(sin), :], x[..., -len(sin) :, :]
    first, second = patches.chunk(2, dim=-1)
    return torch.cat([prefix, patches * cos + torch.cat([-second, first], dim=-1) * sin], dim=-2)


def interpolated(positions: Tensor, grid: tuple[int, int], *, offset: float, antialias: bool = False) -> Tensor:
    """As DINO and DINOv2 bring positions to another grid."""
    if grid == GRID:
        return positions
    patches = positions[:, 1:].unflatten(1, GRID).permute(0, 3, 1, 2)
    sizes: dict[str, Any] = {"size": grid}
    if offset:
        sizes = {"scale_factor": tuple((new + offset) / old for new, old in zip(grid, GRID, strict=True))}
    moved = functional.interpolate(patches, mode="bicubic", antialias=antialias, **sizes)
    return torch.cat([positions[:, :1], moved.flatten(2).mT], dim=1)
