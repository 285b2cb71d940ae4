"""What the tokens of one picture carry, layer by layer: the outputs of blocks, or their queries, keys or values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.planning.plan import FACETS, TOKEN, check_facet
from vit_engine.spec import ModelSpec
from vit_engine.trace.shared import SharedLayers


@dataclass(frozen=True, eq=False)
class FinalNorm:
    """The LayerNorm behind a model's last block: weight and bias float32 (dim,), and its epsilon."""

    weight: np.ndarray
    bias: np.ndarray
    eps: float

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """Of (tokens, dim), float64."""
        centred = tokens - tokens.mean(axis=-1, keepdims=True, dtype=np.float64)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + self.eps) * self.weight + self.bias


@dataclass(frozen=True, eq=False)
class Features(SharedLayers):
    """One facet of the tokens of one picture in one model, of the layers that were asked for. Holds no model.

    layers: by number, float16 or float32 (tokens, dim), as the model computes them; heads stand side by side. Arrays
    cannot be written to. final_norm: of the facet "token". SpecError for layers of another shape, and for numbers that
    are not finite.
    """

    spec: ModelSpec
    grid: TokenGrid
    image_sha256: str
    facet: str
    layers: Mapping[int, np.ndarray]
    final_norm: FinalNorm | None = None
    random: bool = False  # whether the model's weights are
    seconds: float = 0.0  # of the run
    # What is computed of them once and is small, such as the axes of a layer's principal components.
    computed: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_facet(self.facet)
        expected = self.grid.tokens, self.spec.dim
        for number, values in self.layers.items():
            if not 0 <= number < self.spec.depth or values.shape != expected:
                raise SpecError(
                    f"layers of {self.spec.name!r} are 0..{self.spec.depth - 1}, each {expected}; got layer {number}, "
                    f"{values.shape}."
                )
            if not np.isfinite(values).all():
                raise SpecError(
                    f"the {FACETS[self.facet]} of layer {number} must be finite numbers; some are NaN or infinite."
                )
        if (self.final_norm is None) == (self.facet == TOKEN):
            raise SpecError("the final norm goes with the facet 'token', and with no other.")
        self._share()

    def _share(self) -> None:
        for values in self.layers.values():
            values.setflags(write=False)
        super()._share()

    def __repr__(self) -> str:
        size = f"{self.grid.rows}×{self.grid.cols} patches, layers {sorted(self.layers)}"
        return f"Features({self.spec.name!r}, {self.facet!r}, {size}, {self.nbytes / 1e6:.1f} MB)"

    @property
    def nbytes(self) -> int:
        """Bytes that are kept in memory."""
        return sum(values.nbytes for values in self.layers.values())

    @property
    def kind(self) -> tuple[str, str]:
        """What two of them must have in common to be compared: the model and the facet."""
        return self.spec.name, self.facet

    def layer_number(self, layer: int = -1) -> int:
        """Counted from 0, of one that may be negative; SpecError for one that was not kept."""
        number = self.spec.layer_number(layer)
        if number not in self.layers:
            raise SpecError(
                f"layer {number} was not kept; these features have {sorted(self.layers)}. Name it in "
                "layers= of features()."
            )
        return number

    def tokens(self, layer: int = -1, *, head: int | None = None, final_norm: bool = True) -> np.ndarray:
        """All tokens of a layer, the prefix first: float64 (tokens, dim), or (tokens, head_dim) of one head.

        The facet "token" has passed the model's final norm at every layer, as in DINOv2's get_intermediate_layers,
        unless final_norm is False. SpecError for a layer or a head that is not here.
        """
        return self._read(self.layers[self.layer_number(layer)][:, self.columns(head)], final_norm=final_norm)

    def _read(self, kept: np.ndarray, *, final_norm: bool) -> np.ndarray:
        values = kept.astype(np.float64)
        return self.final_norm(values) if self.final_norm is not None and final_norm else values

    def patches(
        self, layer: int = -1, *, head: int | None = None, final_norm: bool = True, places: np.ndarray | None = None
    ) -> np.ndarray:
        """The same of the patches alone, row by row: float64 (patches, dim) or (patches, head_dim).

        places: the numbers of some patches, in place of all.
        """
        kept = self.layers[self.layer_number(layer)][self.grid.prefix :, self.columns(head)]
        return self._read(kept if places is None else kept[places], final_norm=final_norm)

    def columns(self, head: int | None) -> slice:
        """Where one head's numbers stand, or those of all; SpecError for a head that does not exist."""
        return head_columns(self.spec, self.facet, head)

    def label(self, layer: int, head: int | None = None) -> str:
        """What is looked at, in words: "keys of layer 9 · head 3"."""
        of_head = "" if head is None else f" · head {head}"
        return f"{FACETS[self.facet]} of layer {self.layer_number(layer)}{of_head}"


def head_columns(spec: ModelSpec, facet: str, head: int | None) -> slice:
    """Where one head's numbers stand among a token's, or those of all; SpecError for a head that does not exist."""
    if head is None:
        return slice(None)
    if facet == TOKEN:
        raise SpecError("tokens belong to no head; ask for a head of the facets 'query', 'key' or 'value'.")
    if isinstance(head, bool) or not isinstance(head, int | np.integer) or not 0 <= head < spec.heads:
        raise SpecError(f"head must be in 0..{spec.heads - 1}, or None for all; got {head!r}.")
    width = spec.dim // spec.heads
    return slice(int(head) * width, (int(head) + 1) * width)


def common_layer(features: Mapping[str, Features], layer: int) -> int:
    """The number of a layer that all of these have, by their names; SpecError where they do not compare."""
    (name, first), *others = features.items()
    for other_name, other in others:
        if other.kind != first.kind or other.spec != first.spec:
            raise SpecError(
                "features compare where they are of one model and one facet; got "
                f"{first.facet!r} of {first.spec.name!r} ({name}) and {other.facet!r} of {other.spec.name!r} "
                f"({other_name})."
            )
        other.layer_number(layer)
    return first.layer_number(layer)
