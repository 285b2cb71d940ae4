"""Principal components of patch tokens as colours: alike patches get alike colours.

The first three components as red, green and blue, as in DINOv2 (Oquab et al. 2023, arXiv 2304.07193); optionally of
the foreground alone, which the first component of all patches splits off. The sign of a component is arbitrary, so it
is fixed: where pictures, layers or sizes are looked at one after another, colours do not flip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.spec import TokenGrid
from vit_engine.trace.features import Features, common_layer

COMPONENTS = 3  # a colour's channels
LOW, HIGH = 2.0, 98.0  # percentiles of a component that are no and full colour
FOREGROUNDS = ("high", "low")  # the side of the first component that is kept
_CONSTANT = 1e-12  # of the mean square: less variance than this is rounding


@dataclass(frozen=True, eq=False)
class PcaMap:
    """The first three principal components of a picture's patch tokens.

    components: float32 (3, rows, cols), in the tokens' units, 0 at the mean; NaN outside the foreground. rgb: float32
    (rows, cols, 3), 0..1, the same stretched from the 2nd to the 98th percentile of all pictures that were fitted
    together; 0 outside the foreground. explained: of each component, the share of the patches' variance, 0..1, over all
    these pictures. foreground: bool (rows, cols), or None where all patches were fitted.
    """

    components: np.ndarray
    rgb: np.ndarray
    explained: tuple[float, ...]
    foreground: np.ndarray | None
    grid: TokenGrid
    label: str


@dataclass(frozen=True, eq=False)
class Axes:
    """Mean (dim,) and axes (3, dim) of components, float64; the variance along each, and that of all directions."""

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    total: float

    @property
    def explained(self) -> tuple[float, ...]:
        return tuple((self.variances / self.total).tolist())

    def components(self, patches: np.ndarray) -> np.ndarray:
        """Of (patches, dim): float64 (patches, 3)."""
        return (patches - self.mean) @ self.directions.T

    def along(self, references: np.ndarray) -> "Axes":
        """The same axes, each turned so that it does not point away from its reference (3, dim)."""
        signs = np.where((self.directions * references).sum(axis=1) < 0, -1.0, 1.0)
        return Axes(self.mean, self.directions * signs[:, None], self.variances, self.total)


@overload
def pca_map(
    features: Features, *, layer: int = ..., head: int | None = ..., foreground: str | None = ...
) -> PcaMap: ...
@overload
def pca_map(
    features: Sequence[Features], *, layer: int = ..., head: int | None = ..., foreground: str | None = ...
) -> tuple[PcaMap, ...]: ...
def pca_map(
    features: Features | Sequence[Features],
    *,
    layer: int = -1,
    head: int | None = None,
    foreground: str | None = None,
) -> PcaMap | tuple[PcaMap, ...]:
    """The first three components of a layer's patch tokens; of several pictures of one model, fitted jointly.

    layer: from 0; negative from the last. head: of queries, keys or values, one head's; None for all side by side.
    foreground: None, or which side of the first component is the foreground, "high" or "low" values; the components are
    then fitted a second time, to these patches alone. In float64, in memory linear in the patches. Raises SpecError for
    features of several models or facets, a layer or a head that is not here, fewer than four patches to fit, and
    patches that are all the same.
    """
    several = (features,) if isinstance(features, Features) else tuple(features)
    if not several:
        raise SpecError("pca_map() needs the features of at least one picture; got none.")
    number = common_layer({f"picture {place}": each for place, each in enumerate(several)}, layer)
    maps = _fitted(several, number, head, foreground)
    return maps[0] if isinstance(features, Features) else maps


def _fitted(several: tuple[Features, ...], layer: int, head: int | None, foreground: str | None) -> tuple[PcaMap, ...]:
    patches = [each.patches(layer, head=head) for each in several]
    axes = layer_axes(several[0], layer, head) if len(several) == 1 else _joint(several, patches, layer, head)
    masks = None
    if foreground is not None:
        masks = _foreground([axes.components(each)[:, 0] for each in patches], foreground)
        inside = [each[mask] for each, mask in zip(patches, masks, strict=True)]
        axes = _oriented(fit(np.concatenate(inside)), patches[0], several[0].grid)
    components = [axes.components(each) for each in patches]
    colours = _stretched(components, masks)
    if masks is not None:
        components = [np.where(mask[:, None], each, np.nan) for each, mask in zip(components, masks, strict=True)]
    return tuple(
        PcaMap(
            components=np.ascontiguousarray(components[place].T.reshape(COMPONENTS, *each.grid.shape), np.float32),
            rgb=colours[place].reshape(*each.grid.shape, COMPONENTS).astype(np.float32),
            explained=axes.explained,
            foreground=None if masks is None else masks[place].reshape(each.grid.shape),
            grid=each.grid,
            label=f"PCA of {each.label(layer, head)}",
        )
        for place, each in enumerate(several)
    )


def fit(patches: np.ndarray) -> Axes:
    """The axes of patches (patches, dim), largest variance first; SpecError for too few, or none that differ."""
    count, dim = patches.shape
    if count <= COMPONENTS:
        raise SpecError(
            f"{COMPONENTS} components need at least {COMPONENTS + 1} patches to be fitted to; got {count}. Use a "
            "larger size, or all patches instead of the foreground."
        )
    if dim < COMPONENTS:
        raise SpecError(f"{COMPONENTS} components need tokens of at least {COMPONENTS} numbers; these have {dim}.")
    mean = patches.mean(axis=0)
    centred = patches - mean
    total = float(np.square(centred).sum())
    if not total > _CONSTANT * float(np.square(patches).sum()):
        raise SpecError("all patches carry the same token, so no component tells them apart; use another layer.")
    if count < dim:  # the smaller of the two matrices has the same variances: never more than dim × dim
        values, vectors = np.linalg.eigh(centred @ centred.T)
        directions = vectors[:, : -COMPONENTS - 1 : -1].T @ centred
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors[:, : -COMPONENTS - 1 : -1].T
    variances = values[: -COMPONENTS - 1 : -1].clip(min=0)
    return Axes(mean, directions, variances / count, total / count)


def layer_axes(features: Features, layer: int, head: int | None = None) -> Axes:
    """The axes of one picture's layer, with signs that are fixed; computed once.

    The deepest layer's by where in the picture its components are large, each other one's by the next deeper one's, of
    whose components they keep the sign.
    """
    deeper = [number for number in features.layers if number > layer]
    key = "pca", layer, head
    if key not in features.computed:
        patches = features.patches(layer, head=head)
        axes = fit(patches)
        if deeper:
            axes = _continued(axes, patches, features, min(deeper), head)
        else:
            axes = _oriented(axes, patches, features.grid)
        features.computed[key] = axes
    return features.computed[key]


def _continued(axes: Axes, patches: np.ndarray, features: Features, deeper: int, head: int | None) -> Axes:
    """With the signs of the deeper layer's components, patch by patch."""
    reference = layer_axes(features, deeper, head).components(features.patches(deeper, head=head))
    return axes.along(reference.T @ (patches - axes.mean))


def _oriented(axes: Axes, patches: np.ndarray, grid: TokenGrid) -> Axes:
    """Each component large in the middle and the lower part of the picture, where most pictures have their subject."""
    weights = _position_weights(grid).ravel()
    return axes.along((weights @ (patches - axes.mean))[None])


def _position_weights(grid: TokenGrid) -> np.ndarray:
    """(rows, cols): nearness to the middle plus height from the top, each with mean 0 and length 1."""
    y = (2 * np.arange(grid.rows) + 1) / grid.rows - 1
    x = (2 * np.arange(grid.cols) + 1) / grid.cols - 1
    nearness = 1 - np.maximum(np.abs(y)[:, None], np.abs(x)[None])
    down = np.broadcast_to(y[:, None], grid.shape)
    return _standard(nearness) + _standard(down)


def _standard(weights: np.ndarray) -> np.ndarray:
    centred = weights - weights.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def _joint(several: tuple[Features, ...], patches: list[np.ndarray], layer: int, head: int | None) -> Axes:
    """Fitted to all pictures, with the signs that the first has by itself."""
    axes = fit(np.concatenate(patches))
    return axes.along(layer_axes(several[0], layer, head).directions)


def _foreground(firsts: list[np.ndarray], side: str) -> list[np.ndarray]:
    """Of each picture, the patches whose first component is above its mean over all pictures, or below it."""
    if side not in FOREGROUNDS:
        raise SpecError(f"foreground must be None or one of {', '.join(map(repr, FOREGROUNDS))}; got {side!r}.")
    return [values > 0 if side == "high" else values < 0 for values in firsts]


def _stretched(components: list[np.ndarray], masks: list[np.ndarray] | None) -> list[np.ndarray]:
    """As colours 0..1, of all pictures alike."""
    inside = components if masks is None else [each[mask] for each, mask in zip(components, masks, strict=True)]
    low, high = np.percentile(np.concatenate(inside), (LOW, HIGH), axis=0)
    width = np.where(high > low, high - low, 1.0)
    colours = [np.where(high > low, ((each - low) / width).clip(0, 1), 0.5) for each in components]
    return colours if masks is None else [each * mask[:, None] for each, mask in zip(colours, masks, strict=True)]
