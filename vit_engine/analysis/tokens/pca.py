"""Principal components of patch tokens as colours: alike patches get alike colours.

The first three components as red, green and blue, as in DINOv2 (Oquab et al. 2023, arXiv 2304.07193); optionally of
the foreground alone, which the first component of all patches splits off. The sign of a component is arbitrary, so it
is fixed, by the neighbouring layers and by where in the picture its values are large: colours keep their meaning from
layer to layer, and mostly from size to size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import scipy.linalg

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.features import Features, common_layer

COMPONENTS = 3  # a colour's channels
LOW, HIGH = 2.0, 98.0  # percentiles of a component that are no and full colour
SAMPLE = 2304  # patches that signs are found by, at the most
POSITION = 0.3  # how much the place of a component's large values counts for its sign, beside the next layer's
FOREGROUNDS = ("high", "low")  # the side of the first component that is kept
_CONSTANT = 1e-12  # of the mean square: less variance than this is rounding


@dataclass(frozen=True, eq=False)
class PcaMap:
    """The first three principal components of a picture's patch tokens.

    components: float32 (3, rows, cols), in the tokens' units, 0 at the mean; NaN outside the foreground. rgb: float32
    (rows, cols, 3), 0..1, the same stretched from the 2nd to the 98th percentile of all pictures that were fitted
    together; 0 outside the foreground. explained: of each component, the share of the variance of the patches that
    were fitted, 0..1. foreground: bool (rows, cols), or None where all patches were fitted. gaps: of each component,
    how far its share of the variance it was fitted to is from the nearest other component's: where that is small,
    roundings turn one into the other.
    """

    components: np.ndarray
    rgb: np.ndarray
    explained: tuple[float, ...]
    foreground: np.ndarray | None
    grid: TokenGrid
    label: str
    gaps: tuple[float, ...] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Axes:
    """Mean (dim,) and axes (3, dim) of components, float64; the variance along each, and that of all directions.

    following: the variance along the fourth axis, 0 where there is none.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    total: float
    following: float = 0.0

    @property
    def explained(self) -> tuple[float, ...]:
        return tuple((self.variances / self.total).tolist())

    @property
    def gaps(self) -> tuple[float, ...]:
        """As PcaMap has them."""
        steps = -np.diff([np.inf, *self.variances, self.following]) / self.total
        return tuple(np.minimum(steps[:-1], steps[1:]).tolist())

    def components(self, patches: np.ndarray) -> np.ndarray:
        """Of (patches, dim): float64 (patches, 3)."""
        return (patches - self.mean) @ self.directions.T

    def along(self, references: np.ndarray) -> "Axes":
        """The same axes, each turned so that it does not point away from its reference (3, dim)."""
        return self.turned(np.where((self.directions * references).sum(axis=1) < 0, -1.0, 1.0))

    def turned(self, signs: np.ndarray) -> "Axes":
        """Times ±1 (3,)."""
        return replace(self, directions=self.directions * signs[:, None])


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
    then fitted a second time, to these patches alone. Signs fit those of all layers that the features have: with other
    layers kept, a component may point the other way. In float64, in memory linear in the patches. Raises SpecError for
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
    if len(several) == 1:
        axes = layer_axes(several[0], layer, head, patches=patches[0])
    else:  # with the signs that the first has by itself
        axes = _signed(fit(np.concatenate(patches)), several[0], patches[0], layer, head)
    masks = None
    if foreground is not None:
        masks = _foreground([axes.components(each)[:, 0] for each in patches], foreground)
        inside = [each[mask] for each, mask in zip(patches, masks, strict=True)]
        axes = _upright(fit(np.concatenate(inside)), patches[0], several[0].grid)
    components = [axes.components(each) for each in patches]
    colours = stretched(components, masks)
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
            gaps=axes.gaps,
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
    total = spread(patches, centred)
    if count < dim:  # the smaller of the two matrices has the same variances: never more than dim × dim
        values, vectors = largest_eigenpairs(centred @ centred.T)
        directions = vectors.T @ centred
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    else:
        values, vectors = largest_eigenpairs(centred.T @ centred)
        directions = vectors.T
    return ordered_axes(mean, directions, values / count, total / count)


def largest_eigenpairs(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a symmetric matrix (n, n): up to four eigenvalues, ascending, and the eigenvectors (n, 3) of the largest."""
    size = len(matrix)
    wanted = max(size - COMPONENTS - 1, 0), size - 1
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=wanted, overwrite_a=True, check_finite=False)
    return values, vectors[:, : -COMPONENTS - 1 : -1]


def spread(patches: np.ndarray, centred: np.ndarray) -> float:
    """The sum of squares; SpecError where it is rounding."""
    total = float(np.square(centred).sum())
    if not total > _CONSTANT * float(np.square(patches).sum()):
        raise SpecError("all patches carry the same token, so no component tells them apart; use another layer.")
    return total


def ordered_axes(mean: np.ndarray, directions: np.ndarray, ascending: np.ndarray, total: float) -> Axes:
    """Of variances from the smallest on. Along an axis whose variance is rounding, all components are 0."""
    descending = np.append(ascending[: -COMPONENTS - 2 : -1], 0.0)
    descending[descending <= _CONSTANT * total] = 0.0
    variances = descending[:COMPONENTS]
    return Axes(mean, directions * (variances > 0)[:, None], variances, total, float(descending[COMPONENTS]))


def layer_axes(features: Features, layer: int, head: int | None = None, *, patches: np.ndarray | None = None) -> Axes:
    """The axes of one picture's layer, with signs that fit those of all its other layers; SpecError as fit().

    Computed once. patches: the layer's, where they are there already.
    """
    key = "pca", layer, head
    if key not in features.computed:
        patches = features.patches(layer, head=head) if patches is None else patches
        features.computed[key] = _signed(fit(patches), features, patches, layer, head)
    return features.computed[key]


def _signed(axes: Axes, features: Features, patches: np.ndarray, layer: int, head: int | None) -> Axes:
    """With the signs that fit the layer among the others, or by position where it is too small to have axes."""
    reference = sign_references(features, head).get(layer)
    return _upright(axes, patches, features.grid) if reference is None else axes.along(reference)


def sign_references(features: Features, head: int | None = None) -> Mapping[int, np.ndarray]:
    """Of each layer that can be fitted, axes (3, dim) that point where the layer's own are to point; computed once.

    A picture's layers are looked at together: none alone says how to turn its axes. Of a large grid some patches
    suffice for it.
    """
    key = "signs", head
    if key not in features.computed:
        features.computed[key] = _agreeing_axes(features, head)
    return features.computed[key]


def _agreeing_axes(features: Features, head: int | None) -> dict[int, np.ndarray]:
    rows, cols = features.grid.shape
    step = math.ceil(math.sqrt(rows * cols / SAMPLE))
    places = np.arange(rows * cols).reshape(rows, cols)[step // 2 :: step, step // 2 :: step].ravel()
    axes: dict[int, Axes] = {}
    maps = []
    for layer in features.layers:
        patches = features.patches(layer, head=head, places=places)
        try:
            axes[layer] = fit(patches)
        except SpecError:  # raised again where the layer is asked for
            continue
        maps.append(_standard(axes[layer].components(patches).T))
    signs = _agreeing_signs(maps, _position_weights(features.grid).ravel()[places])
    return {layer: each.turned(sign).directions for (layer, each), sign in zip(axes.items(), signs, strict=True)}


def _upright(axes: Axes, patches: np.ndarray, grid: TokenGrid) -> Axes:
    """Turned so that values are large where most pictures have their subject."""
    return axes.along(_position_weights(grid).reshape(1, -1) @ (patches - axes.mean))


def _agreeing_signs(maps: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """±1 (layers, 3) for components (3, patches) of each layer, of length 1: the best of all choices.

    Best is the largest sum of correlations between neighbouring layers' components, and of each component with the
    position weights, which count less. Found by dynamic programming, component by component.
    """
    signs = np.array([-1.0, 1.0])
    position = POSITION * np.array([components @ weights for components in maps])
    scores, choices = np.zeros((COMPONENTS, 2)), []
    for layer, components in enumerate(maps):
        before = (components * maps[max(layer - 1, 0)]).sum(axis=1) * (layer > 0)
        sums = scores[:, :, None] + before[:, None, None] * signs[:, None] * signs  # (3, the sign before, the sign)
        choices.append(sums.argmax(axis=1))
        scores = sums.max(axis=1) + position[layer][:, None] * signs
    chosen, every = scores.argmax(axis=1), np.arange(COMPONENTS)
    best = []
    for choice in reversed(choices):
        best.append(signs[chosen])
        chosen = choice[every, chosen]
    return np.array(best[::-1])


def _position_weights(grid: TokenGrid) -> np.ndarray:
    """(rows, cols): large in the middle and the lower part, where most pictures have their subject."""
    y = (2 * np.arange(grid.rows) + 1) / grid.rows - 1
    x = (2 * np.arange(grid.cols) + 1) / grid.cols - 1
    nearness = 1 - np.maximum(np.abs(y)[:, None], np.abs(x)[None])
    down = np.broadcast_to(y[:, None], grid.shape)
    weights = _standard(nearness.reshape(1, -1)) + _standard(down.reshape(1, -1))
    return _standard(weights).reshape(grid.shape)


def _standard(rows: np.ndarray) -> np.ndarray:
    """Each row (…, n) with mean 0 and length 1; zeros where it is constant."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(lengths > 0, lengths, 1.0)


def _foreground(firsts: list[np.ndarray], side: str) -> list[np.ndarray]:
    """Of each picture, the patches whose first component is above its mean over all pictures, or below it."""
    if side not in FOREGROUNDS:
        raise SpecError(f"foreground must be None or one of {', '.join(map(repr, FOREGROUNDS))}; got {side!r}.")
    return [values > 0 if side == "high" else values < 0 for values in firsts]


def stretched(components: list[np.ndarray], masks: list[np.ndarray] | None) -> list[np.ndarray]:
    """As colours 0..1, of all pictures alike."""
    inside = components if masks is None else [each[mask] for each, mask in zip(components, masks, strict=True)]
    low, high = np.percentile(np.concatenate(inside), (LOW, HIGH), axis=0)
    width = np.where(high > low, high - low, 1.0)
    colours = [np.where(high > low, ((each - low) / width).clip(0, 1), 0.5) for each in components]
    return colours if masks is None else [each * mask[:, None] for each, mask in zip(colours, masks, strict=True)]
