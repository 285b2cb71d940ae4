"""The parts of a transformer block.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (arXiv 2010.11929); equations are numbered as there. Parameter
names are those of facebookresearch/dino and dinov2. B is the batch, N the tokens, D the embedding dimension, H the
heads, d = D / H. Nothing is kept on the modules, so one model serves any number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vit_engine.devices import widened
from vit_engine.model.fused import exact_attention
from vit_engine.model.positions import Rotation, rotate
from vit_engine.model.streaming import AttentionPlan, StreamedAttention
from vit_engine.spec import ModelSpec

PROJECTIONS = ("query", "key", "value")  # of a token, in the order of the joint linear layer


@dataclass(frozen=True)
class LayerAttention:
    """Queries, keys and values (B, H, N, d), scale, streamed results, and ‖v W_O‖ of each head's values (B, H, N)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    streamed: StreamedAttention
    value_norms: Tensor


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

    def queries_keys_values(
        self, x: Float[Tensor, "B N D"], rotation: Rotation | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each (B, H, N, d); queries and keys as they meet, rotated where positions are."""
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        return (q, k, v) if rotation is None else (rotate(q, rotation), rotate(k, rotation), v)

    def project_to(self, part: str, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """One of "query", "key", "value", heads side by side, and not rotated: what tokens say, wherever they are."""
        rows = slice((place := PROJECTIONS.index(part)) * (dim := x.shape[-1]), (place + 1) * dim)
        return functional.linear(x, self.qkv.weight[rows], None if self.qkv.bias is None else self.qkv.bias[rows])

    def project_back(
        self, of_q: Float[Tensor, "B H N d"], of_k: Tensor, of_v: Tensor, rotation: Rotation | None
    ) -> Float[Tensor, "B N D"]:
        """A scalar's gradient by x, from those by the queries, keys and values that queries_keys_values(x) gives."""
        if rotation is not None:
            of_q, of_k = rotate(of_q, rotation.reversed), rotate(of_k, rotation.reversed)
        joint = rearrange([of_q, of_k, of_v], "three b h n d -> b n (three h d)")
        return joint @ self.qkv.weight

    def forward(self, x: Float[Tensor, "B N D"], rotation: Rotation | None = None) -> Float[Tensor, "B N D"]:
        q, k, v = self.queries_keys_values(x, rotation)
        dropout = self.attention_dropout if self.training else 0.0
        return self.project(functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=self.scale))

    def record(
        self, x: Float[Tensor, "B N D"], plan: AttentionPlan, rotation: Rotation | None = None
    ) -> LayerAttention:
        """The attention of these tokens as the plan asks for it; without dropout, its output not yet projected."""
        q, k, v = self.queries_keys_values(x, rotation)
        streamed = exact_attention(q, k, v, scale=self.scale, plan=plan)
        return LayerAttention(q, k, v, self.scale, streamed, self.value_norms(v))

    def value_norms(self, values: Float[Tensor, "B H N d"]) -> Float[Tensor, "B H N"]:
        """How long what each value adds to the output is: ‖v W_O‖, with the head's part of the output projection.

        As v (W_O W_Oᵀ) vᵀ in float64, so that it costs no product of dimension D for each token.
        """
        parts = rearrange(widened(self.proj.weight), "out (h d) -> h out d", h=self.heads)
        v = widened(values)
        return (v @ (parts.mT @ parts) * v).sum(dim=-1).clamp_(min=0).sqrt_()

    def project(self, mixed: Float[Tensor, "B H N d"]) -> Float[Tensor, "B N D"]:
        return self.proj_drop(self.proj(rearrange(mixed, "b h n d -> b n (h d)")))


class QuickGelu(nn.Module):
    """x σ(1.702 x), the approximation of the GELU that CLIP was trained with (openai/CLIP)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Mlp(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, dim: int, *, hidden: int, dropout: float = 0.0, act: Callable[[], nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = act()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    @property
    def last(self) -> nn.Linear:
        return self.fc2

    def hidden(self, x: Tensor) -> Tensor:
        """What the last linear layer reads."""
        return self.drop(self.act(self.fc1(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.last(self.hidden(x)))


class GatedMlp(nn.Module):
    """w3(act(g) ⊙ h), where w12 gives g and h side by side: SwiGLU with SiLU (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, dim: int, *, hidden: int, dropout: float = 0.0, act: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.act = act()
        self.w3 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(dropout)

    @property
    def last(self) -> nn.Linear:
        return self.w3

    def hidden(self, x: Tensor) -> Tensor:
        """What the last linear layer reads."""
        gate, values = self.w12(x).chunk(2, dim=-1)
        return self.act(gate) * values

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.last(self.hidden(x)))


MLPS: dict[str, Callable[..., Mlp | GatedMlp]] = {
    "gelu": Mlp,
    "gelu_tanh": partial(Mlp, act=partial(nn.GELU, approximate="tanh")),
    "quick_gelu": partial(Mlp, act=QuickGelu),
    "swiglu": partial(GatedMlp, act=nn.SiLU),
    "geglu": partial(GatedMlp, act=nn.GELU),
}


class LayerScale(nn.Module):
    """A learned factor for each dimension of a residual branch (Touvron et al. 2021, arXiv 2103.17239)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return x * self.gamma


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

    def __init__(self, spec: ModelSpec, *, dropout: float, attention_dropout: float, drop_path: float) -> None:
        super().__init__()
        dim, eps = spec.dim, spec.norm_eps
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(
            dim, heads=spec.heads, qkv_bias=spec.qkv_bias, dropout=dropout, attention_dropout=attention_dropout
        )
        self.ls1 = LayerScale(dim) if spec.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp: Mlp | GatedMlp = MLPS[spec.mlp](dim, hidden=spec.hidden, dropout=dropout)
        self.ls2 = LayerScale(dim) if spec.layer_scale else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B N D"], rotation: Rotation | None = None) -> Float[Tensor, "B N D"]:
        return self.add(x, self.attn(self.norm1(x), rotation))

    def attend(
        self, x: Float[Tensor, "B N D"], rotation: Rotation | None, plan: AttentionPlan | None, *, output: bool
    ) -> tuple[Tensor | None, LayerAttention | None]:
        """What attention adds to the tokens, if wanted, and how it does so, where there is a plan."""
        if plan is None:
            return self.attn(self.norm1(x), rotation), None
        attention = self.attn.record(self.norm1(x), replace(plan, output=output), rotation)
        mixed = attention.streamed.output
        return None if mixed is None else self.attn.project(mixed), attention

    def add(self, x: Float[Tensor, "B N D"], attended: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """The tokens after the block, once attention is known: both residual branches added (eq. 2, 3)."""
        x = self.middle(x, attended)
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))

    def middle(self, x: Float[Tensor, "B N D"], attended: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """The tokens between the two residual branches (eq. 2)."""
        return x + self.drop_path(self.ls1(attended))


def initialise_part(part: nn.Module, generator: torch.Generator | None) -> None:
    """Fresh weights of one layer: linear ones truncated normal (std 0.02), norms as usual, LayerScale 1."""
    if isinstance(part, nn.Linear):
        nn.init.trunc_normal_(part.weight, std=0.02, generator=generator)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    elif isinstance(part, nn.LayerNorm):
        part.reset_parameters()
    elif isinstance(part, LayerScale):
        nn.init.ones_(part.gamma)
