"""Statistics of every head's attention: what each of them is, how it is made, and their table.

Entropy: H = −Σ p ln p (Clark et al. 2019, arXiv 1906.04341; Zhai et al. 2023, arXiv 2303.06296).
Mean attention distance: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7, over patch keys renormalised.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, a short title, its unit, and what it means."""

    name: str
    title: str
    unit: str
    description: str


class ClsRows:
    """The CLS query's attention in every (layer, head), made of its scores (layers, heads, tokens)."""

    def __init__(self, scores: Tensor, prefix: int) -> None:
        self.weights = scores.softmax(dim=-1)
        self.patch_weights = scores[..., prefix:].softmax(dim=-1)  # renormalised
        self.to_prefix = self.weights[..., :prefix]
        self.to_patches = self.weights[..., prefix:].float().cpu().numpy()  # not renormalised


@dataclass(frozen=True)
class FromCls:
    """Made of the CLS query's rows: (layers, heads)."""

    reduce: Callable[[ClsRows], Tensor | np.ndarray]


_mean = partial(torch.mean, dim=-1)


@dataclass(frozen=True)
class FromQueries:
    """Made of a field of StreamedAttention, (heads, queries), reduced to (heads,); where a plan asks for the field."""

    quantity: str
    reduce: Callable[[Tensor], Tensor] = _mean


@dataclass(frozen=True)
class FromCounts:
    """Made of how many queries have their largest weight on each token: (layers, heads, tokens) to (layers, heads)."""

    reduce: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Converted:
    """Another statistic, which is measured, in another unit."""

    measured: str
    convert: Callable[[np.ndarray, TokenGrid], np.ndarray]


@dataclass(frozen=True)
class Statistic(Column):
    """A number of every (layer, head): a column of their table, and how it is made."""

    made: FromCls | FromQueries | FromCounts | Converted
    comparable: bool = False  # means the same for any number of tokens
    counted: bool = False  # in whole queries: where two keys are nearly equal, a rounding moves it by some of them


def _mean_exponential(values: Tensor) -> Tensor:
    return values.exp().mean(dim=-1)  # more than e to the mean, where queries differ


def _commonest(counts: Tensor) -> Tensor:
    """The share of the queries that have the commonest key; there are as many keys as queries."""
    return counts.amax(dim=-1) / counts.shape[-1]


def _entropy(weights: Tensor) -> Tensor:
    return torch.special.entr(weights).sum(dim=-1)


def _share(values: np.ndarray, most: float) -> np.ndarray:
    return values / np.float32(most) if most else np.zeros_like(values)


_QUERIES = {"cls": ("CLS", "The CLS query"), "mean": ("mean", "Mean over all queries")}
_KEYS = {"": ("", "over all keys"), "patch_": (" (patches)", "over patch keys, renormalised")}
_UNITS = (
    ("entropy_nats", "entropy", "nats", "Entropy of the weights, natural logarithm: 0 is a single key."),
    ("entropy_bits", "entropy", "bits", "Entropy of the weights, in bits: 0 is a single key."),
    ("entropy_normalised", "entropy / max", "0..1", "Entropy divided by ln K for K keys: compares across patch sizes."),
    ("effective_tokens", "effective tokens", "tokens", "e to a query's entropy: how many keys share its attention."),
)


def _entropies(
    query: str, keys: str, nats: FromCls | FromQueries, effective: FromQueries | None = None
) -> Iterator[Statistic]:
    """An entropy in all its units. effective: of a mean, which is not e to the mean entropy."""
    (who, whom), (which, over), name = _QUERIES[query], _KEYS[keys], f"{query}_{keys}entropy_nats"
    made = (
        nats,
        Converted(name, lambda values, _: values / np.float32(math.log(2))),
        Converted(name, lambda values, grid: _share(values, math.log(grid.patches if keys else grid.tokens))),
        effective or Converted(name, lambda values, _: np.exp(values)),
    )
    for (suffix, title, unit, text), each in zip(_UNITS, made, strict=True):
        texts = f"{query}_{keys}{suffix}", f"{who} {title}{which}", unit, f"{text} {whom}, {over}."
        yield Statistic(*texts, each, comparable=unit == "0..1")


# A new one stands behind all others: older bundles have tables without it.
_ALL = (
    *_entropies("cls", "", FromCls(lambda cls: _entropy(cls.weights))),
    *_entropies("cls", "patch_", FromCls(lambda cls: _entropy(cls.patch_weights))),
    *_entropies("mean", "", FromQueries("entropy"), FromQueries("entropy", _mean_exponential)),
    *_entropies("mean", "patch_", FromQueries("patch_entropy"), FromQueries("patch_entropy", _mean_exponential)),
    Statistic(
        "distance_px",
        "distance",
        "px",
        "Mean distance from a patch query to what it attends to, over patch keys.",
        FromQueries("distance"),
        comparable=True,
    ),
    Statistic(
        "distance_fraction",
        "distance / diagonal",
        "0..1",
        "Mean attention distance over the picture's diagonal.",
        Converted("distance_px", lambda pixels, grid: _share(pixels, grid.diagonal)),
        comparable=True,
    ),
    Statistic(
        "cls_to_cls",
        "CLS → CLS",
        "0..1",
        "Weight that the CLS query gives to the CLS key.",
        FromCls(lambda cls: cls.weights[..., 0]),
    ),
    Statistic(
        "cls_prefix_mass",
        "CLS → prefix",
        "0..1",
        "Weight that the CLS query gives to CLS and registers.",
        FromCls(lambda cls: cls.to_prefix.sum(dim=-1)),
    ),
    Statistic(
        "mean_prefix_mass",
        "mean → prefix",
        "0..1",
        "Weight on CLS and registers, mean over all queries.",
        FromQueries("prefix_mass"),
    ),
    Statistic(
        "cls_maximum",
        "CLS maximum",
        "0..1",
        "Largest weight of the CLS query, over all keys.",
        FromCls(lambda cls: cls.weights.amax(dim=-1)),
    ),
    Statistic(
        "mean_maximum",
        "mean maximum",
        "0..1",
        "Largest weight of a query, mean over all queries.",
        FromQueries("maximum"),
    ),
    Statistic(
        "cls_gini",
        "CLS Gini",
        "0..1",
        "Gini of the CLS query on patches: 0 is even, near 1 is one patch.",
        FromCls(lambda cls: gini(cls.to_patches)),
    ),
    Statistic(
        "cls_top10_mass",
        "CLS top 10 %",
        "0..1",
        "Share of the CLS query's patch weight on its top tenth.",
        FromCls(lambda cls: top_mass(cls.to_patches)),
    ),
    Statistic(
        "same_argmax_share",
        "same argmax",
        "0..1",
        "Share of all queries that have their largest weight on one key, the commonest: near 1 is an attention sink.",
        FromCounts(_commonest),
        counted=True,
    ),
)
STATISTICS: dict[str, Statistic] = {statistic.name: statistic for statistic in _ALL}
_CONVERTED = [statistic.made.measured for statistic in _ALL if isinstance(statistic.made, Converted)]
_UNITLESS = {name.rpartition("_")[0]: name for name in _CONVERTED}
COLUMNS: tuple[Column, ...] = (
    Column("layer", "layer", "", "Counted from 0, as in the API."),
    Column("head", "head", "", "Counted from 0, as in the API."),
    *_ALL,
)


@dataclass(frozen=True)
class HeadStatistics:
    """Every statistic for (layer, head), each float32 (layers, heads): an attribute by its name in STATISTICS.

    The unit of a measured one may be left out: `cls_entropy` is `cls_entropy_nats`, `distance` is `distance_px`. None
    if it was not asked for. layers: the layers' numbers, counted from 0. measured: those that are not another one in
    another unit, by name. The arrays cannot be written to.
    """

    layers: tuple[int, ...]
    grid: TokenGrid
    measured: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        expected, shared = (len(self.layers), self.heads), {}
        for name, values in self.measured.items():
            if name not in STATISTICS or isinstance(STATISTICS[name].made, Converted):
                raise SpecError(f"measured statistics must be some that are not converted; got {name!r}.")
            if values.shape != expected:
                raise SpecError(f"{name} must be of shape {expected}, (layers, heads); got {values.shape}.")
            shared[name] = values.view()
            shared[name].setflags(write=False)
        object.__setattr__(self, "measured", shared)

    def __getattr__(self, name: str) -> Any:
        statistic = STATISTICS.get(_UNITLESS.get(name, name))
        if statistic is None:
            raise AttributeError(f"HeadStatistics has no {name!r}; statistics are {', '.join(STATISTICS)}.")
        if not isinstance(statistic.made, Converted):
            return self.measured.get(statistic.name)
        values = self.measured.get(statistic.made.measured)
        return None if values is None else statistic.made.convert(values, self.grid)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_UNITLESS, *STATISTICS]

    @property
    def heads(self) -> int:
        """How many heads each layer has."""
        first = next(iter(self.measured.values()), np.empty(0))
        return first.shape[-1] if first.ndim else 0

    def to_frame(self) -> pd.DataFrame:
        """One row for each (layer, head), the caller's own. Columns: those of COLUMNS that were asked for, in order."""
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        """Made once: it is asked for again and again, and takes pandas ten times as long as a copy."""
        keys = {"layer": np.repeat(self.layers, self.heads), "head": np.tile(np.arange(self.heads), len(self.layers))}
        arrays = {name: getattr(self, name) for name in STATISTICS}
        return pd.DataFrame(keys | {name: values.ravel() for name, values in arrays.items() if values is not None})


def gini(weights: np.ndarray) -> np.ndarray:
    """Gini coefficient over the last axis of non-negative weights: 0 where all are equal, towards 1 for one alone.

    (2 Σ_i i·w_(i)) / (n Σ w) − (n + 1) / n with w ascending and i from 1; 0 where there is no weight.
    """
    ascending = np.sort(weights.astype(np.float64), axis=-1)
    count, total = ascending.shape[-1], ascending.sum(axis=-1)
    ranked = (ascending * np.arange(1, count + 1)).sum(axis=-1)
    result = 2 * ranked / (count * np.where(total > 0, total, 1)) - (count + 1) / count
    return np.where(total > 0, np.clip(result, 0, 1), 0).astype(np.float32)


def top_mass(weights: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Part of the weight over the last axis that its largest `share` of entries (at least one) holds: 0..1."""
    count = max(1, math.ceil(weights.shape[-1] * share))
    largest = np.sort(weights.astype(np.float64), axis=-1)[..., -count:].sum(axis=-1)
    total = weights.sum(axis=-1, dtype=np.float64)
    return np.where(total > 0, largest / np.where(total > 0, total, 1), 0).astype(np.float32)
