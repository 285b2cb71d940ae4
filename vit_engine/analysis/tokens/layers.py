"""Principal components of several layers of one picture on one set of axes, so that their colours compare."""

from collections.abc import Sequence

import numpy as np

from vit_engine.analysis.tokens.pca import (
    COMPONENTS,
    Axes,
    PcaMap,
    largest_eigenpairs,
    layer_axes,
    ordered_axes,
    pca_map,
    spread,
    stretched,
)
from vit_engine.errors import SpecError
from vit_engine.trace.features import Features


def layers_pca(features: Features, layers: Sequence[int], *, head: int | None = None) -> dict[int, PcaMap]:
    """The first three components of several layers of one picture on one set of axes, by the layer's number.

    The same colour is the same direction in all layers, from each layer's own mean. The layers are brought to the same
    spread first, a root mean square distance of 1 from the mean, which is the unit of `components`: early layers'
    tokens have passed a norm that is not theirs, and would leave nothing of the last layer's. explained: of the
    variance of the layer itself. Signs are those that fit the layers by themselves; the order of `layers` changes
    nothing. Of one layer, what pca_map() returns. The last result is kept with the features. Arguments and errors are
    those of pca_map().
    """
    numbers = tuple(sorted({features.layer_number(layer) for layer in layers}))
    if not numbers:
        raise SpecError("layers_pca() needs at least one layer; got none.")
    kept, maps = features.computed.get("layers pca", (None, {}))
    if kept != (numbers, head):
        one = len(numbers) == 1
        maps = {numbers[0]: pca_map(features, layer=numbers[0], head=head)} if one else _layers(features, numbers, head)
        features.computed["layers pca"] = (numbers, head), maps
    return {number: maps[number] for number in map(features.layer_number, layers)}


def _layers(features: Features, layers: tuple[int, ...], head: int | None) -> dict[int, PcaMap]:
    """One layer's tokens at a time are in memory in float64."""
    axes = _layer_axes_together(features, layers, head)
    components = [axes.components(_standardised(features.patches(layer, head=head))) for layer in layers]
    return {
        layer: PcaMap(
            components=np.ascontiguousarray(values.T.reshape(COMPONENTS, *features.grid.shape), np.float32),
            rgb=colours.reshape(*features.grid.shape, COMPONENTS).astype(np.float32),
            explained=tuple(np.square(values).mean(axis=0).tolist()),  # of a variance of 1
            foreground=None,
            grid=features.grid,
            label=f"PCA of {features.label(layer, head)}",
            gaps=axes.gaps,
        )
        for layer, values, colours in zip(layers, components, stretched(components, None), strict=True)
    }


def _layer_axes_together(features: Features, layers: tuple[int, ...], head: int | None) -> Axes:
    alone = [layer_axes(features, layer, head).directions for layer in layers]  # where too few patches are refused
    reference = np.sum(alone, axis=0)
    dim = reference.shape[1]
    covariance = np.zeros((dim, dim))
    for layer in layers:
        patches = _standardised(features.patches(layer, head=head))
        covariance += patches.T @ patches / (len(patches) * len(layers))
    values, vectors = largest_eigenpairs(covariance)
    return ordered_axes(np.zeros(dim), vectors.T, values, 1.0).along(reference)


def _standardised(patches: np.ndarray) -> np.ndarray:
    """Centred (patches, dim), at a root mean square distance of 1 from the middle."""
    centred = patches - patches.mean(axis=0)
    return centred / np.sqrt(spread(patches, centred) / len(patches))
