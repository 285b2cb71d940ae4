"""Statistics of every head's attention, and their table.

Entropy: H = −Σ p ln p (Clark et al. 2019, arXiv 1906.04341; Zhai et al. 2023, arXiv 2303.06296).
Mean attention distance: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7, over patch keys
renormalised. Which keys and which queries a number is over is part of its name.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from vit_engine.errors import SpecError
from vit_engine.spec import TokenGrid


@dataclass(frozen=True)
class Column:
    """A column of the statistics table: its name, a short title, its unit, and what it means."""

    name: str
    title: str
    unit: str
    description: str


_UNITS = (
    ("entropy_nats", "entropy", "nats", "Entropy of the weights, natural logarithm: 0 is a single key."),
    ("entropy_bits", "entropy", "bits", "Entropy of the weights, in bits: 0 is a single key."),
    ("entropy_normalised", "entropy / max", "0..1", "Entropy divided by ln K for K keys: compares across patch sizes."),
    ("effective_tokens", "effective tokens", "tokens", "e to a query's entropy: how many keys share its attention."),
)
_QUERIES = (("cls", "CLS", "The CLS query"), ("mean", "mean", "Mean over all queries"))
_KEYS = (("", "", "over all keys"), ("patch_", " (patches)", "over patch keys, renormalised"))


def _entropy_columns() -> tuple[Column, ...]:
    return tuple(
        Column(f"{query}_{keys}{suffix}", f"{who} {title}{which}", unit, f"{text} {whom}, {over}.")
        for query, who, whom in _QUERIES
        for keys, which, over in _KEYS
        for suffix, title, unit, text in _UNITS
    )


COLUMNS: tuple[Column, ...] = (
    Column("layer", "layer", "", "Counted from 0, as in the API."),
    Column("head", "head", "", "Counted from 0, as in the API."),
    *_entropy_columns(),
    Column("distance_px", "distance", "px", "Mean distance from a patch query to what it attends to, over patch keys."),
    Column("distance_fraction", "distance / diagonal", "0..1", "Mean attention distance over the picture's diagonal."),
    Column("cls_to_cls", "CLS → CLS", "0..1", "Weight that the CLS query gives to the CLS key."),
    Column("cls_prefix_mass", "CLS → prefix", "0..1", "Weight that the CLS query gives to CLS and registers."),
    Column("mean_prefix_mass", "mean → prefix", "0..1", "Weight on CLS and registers, mean over all queries."),
    Column("cls_maximum", "CLS maximum", "0..1", "Largest weight of the CLS query, over all keys."),
    Column("mean_maximum", "mean maximum", "0..1", "Largest weight of a query, mean over all queries."),
    Column("cls_gini", "CLS Gini", "0..1", "Gini of the CLS query on patches: 0 is even, near 1 is one patch."),
    Column("cls_top10_mass", "CLS top 10 %", "0..1", "Share of the CLS query's patch weight on its top tenth."),
)


@dataclass(frozen=True)
class HeadStatistics:
    """Every statistic for (layer, head), each float32 (layers, heads).

    layers: the layers' numbers, counted from 0. Entropies in nats; `cls_*` is the CLS query, `mean_*`
    the mean over all queries; `*_patch_*` is over patch keys renormalised. mean_effective_tokens: the
    mean of e^H, which is more than e to the mean of H where queries differ. distance: pixels, mean over
    patch queries, or None if it was not asked for. The arrays cannot be written to.
    """

    layers: tuple[int, ...]
    grid: TokenGrid
    cls_entropy: np.ndarray
    mean_entropy: np.ndarray
    cls_patch_entropy: np.ndarray
    mean_patch_entropy: np.ndarray
    mean_effective_tokens: np.ndarray
    mean_patch_effective_tokens: np.ndarray
    cls_to_cls: np.ndarray
    cls_prefix_mass: np.ndarray
    mean_prefix_mass: np.ndarray
    cls_maximum: np.ndarray
    mean_maximum: np.ndarray
    cls_gini: np.ndarray
    cls_top10_mass: np.ndarray
    distance: np.ndarray | None = None

    def __post_init__(self) -> None:
        expected = (len(self.layers), self.heads)
        for name, values in list(vars(self).items()):
            if isinstance(values, np.ndarray):
                if values.shape != expected:
                    raise SpecError(f"{name} must be of shape {expected}, (layers, heads); got {values.shape}.")
                shared = values.view()
                shared.setflags(write=False)
                object.__setattr__(self, name, shared)

    @property
    def heads(self) -> int:
        """How many heads each layer has."""
        return self.cls_entropy.shape[-1] if self.cls_entropy.ndim else 0

    def to_frame(self) -> pd.DataFrame:
        """One row for each (layer, head); the columns are those of COLUMNS, in that order.

        The distance columns are absent if distances were not asked for. The table is the caller's own.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        """Made once: it is asked for again and again, and takes pandas ten times as long as a copy."""
        values = {**self._keys(), **self._entropies(), **self._distances(), **self._masses()}
        return pd.DataFrame({column.name: values[column.name] for column in COLUMNS if column.name in values})

    def _keys(self) -> dict[str, np.ndarray]:
        layers, heads = self.cls_entropy.shape
        return {"layer": np.repeat(self.layers, heads), "head": np.tile(np.arange(heads), layers)}

    def _entropies(self) -> dict[str, np.ndarray]:
        columns = {}
        for query, _, _ in _QUERIES:
            for keys, _, _ in _KEYS:
                nats = getattr(self, f"{query}_{keys}entropy").ravel()
                most = math.log(self.grid.patches if keys else self.grid.tokens)
                columns[f"{query}_{keys}entropy_nats"] = nats
                columns[f"{query}_{keys}entropy_bits"] = nats / np.float32(math.log(2))
                columns[f"{query}_{keys}entropy_normalised"] = nats / np.float32(most) if most else np.zeros_like(nats)
                columns[f"{query}_{keys}effective_tokens"] = self._effective_tokens(query, keys)
        return columns

    def _effective_tokens(self, query: str, keys: str) -> np.ndarray:
        if query == "cls":  # one query: its mean is itself
            return np.exp(getattr(self, f"cls_{keys}entropy")).ravel()
        return getattr(self, f"mean_{keys}effective_tokens").ravel()

    def _distances(self) -> dict[str, np.ndarray]:
        if self.distance is None:
            return {}
        pixels = self.distance.ravel()
        return {"distance_px": pixels, "distance_fraction": pixels / np.float32(self.grid.diagonal)}

    def _masses(self) -> dict[str, np.ndarray]:
        names = (
            "cls_to_cls",
            "cls_prefix_mass",
            "mean_prefix_mass",
            "cls_maximum",
            "mean_maximum",
            "cls_gini",
            "cls_top10_mass",
        )
        return {name: getattr(self, name).ravel() for name in names}


def gini(weights: np.ndarray) -> np.ndarray:
    """Gini coefficient over the last axis of non-negative weights: 0 where all are equal, towards 1 for one alone.

    (2 Σ_i i·w_(i)) / (n Σ w) − (n + 1) / n with w ascending and i from 1; 0 where there is no weight.
    """
    ascending = np.sort(weights.astype(np.float64), axis=-1)
    count = ascending.shape[-1]
    total = ascending.sum(axis=-1)
    ranked = (ascending * np.arange(1, count + 1)).sum(axis=-1)
    safe = np.where(total > 0, total, 1)
    result = 2 * ranked / (count * safe) - (count + 1) / count
    return np.where(total > 0, np.clip(result, 0, 1), 0).astype(np.float32)


def top_mass(weights: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Part of the weight over the last axis that its largest `share` of entries (at least one) holds: 0..1."""
    count = max(1, math.ceil(weights.shape[-1] * share))
    largest = np.sort(weights.astype(np.float64), axis=-1)[..., -count:].sum(axis=-1)
    total = weights.sum(axis=-1, dtype=np.float64)
    return np.where(total > 0, largest / np.where(total > 0, total, 1), 0).astype(np.float32)
