"""How close numbers are to those that were recorded: of a row, of a table, of an array."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

COUNTED = 0.02  # of all queries: that many may have two keys that are equal but for roundings
_LEAST = 0.01  # a column of smaller numbers is compared as if its largest were this
_KEYS = {"pane", "model", "layer", "head", "first", "second"}  # what tells rows apart


@dataclass(frozen=True)
class Check:
    """One comparison of what is recorded and what is recomputed."""

    what: str
    deviation: float = 0.0  # at most
    tolerance: float = 0.0
    of: str = ""  # the number that is off
    problem: str = ""  # in place of a deviation

    @property
    def matches(self) -> bool:
        return not self.problem and self.deviation <= self.tolerance

    @property
    def share(self) -> float:
        """How much of what is allowed it is off."""
        return self.deviation / self.tolerance if self.tolerance else 0.0

    def __str__(self) -> str:
        verdict = "matches" if self.matches else "DOES NOT MATCH"
        if self.problem or not self.tolerance:
            return f"{self.what}: {verdict}{f': {self.problem}' if self.problem else ''}"
        return f"{self.what}: {verdict}, {self.of} {self.deviation:.2g} off, up to {self.tolerance:.2g} allowed"


def worst(checks: Sequence[Check]) -> Check:
    """The one with a problem, or the one nearest what is allowed."""
    problems = [one for one in checks if one.problem]
    return problems[0] if problems else max(checks, key=lambda one: one.share)


def array_check(what: str, recorded: np.ndarray | None, recomputed: np.ndarray, allowed: float, scale: float) -> Check:
    """An array, off by at most this part of `scale`, or of 1 where that is 0; whole numbers not at all."""
    if recorded is None:
        return Check(what, problem=f"is not there, or no {recomputed.dtype} {recomputed.shape}")
    if np.issubdtype(recomputed.dtype, np.integer):
        same = np.array_equal(recorded, recomputed)
        return Check(what, problem="" if same else f"is {recorded.tolist()}, recomputed is {recomputed.tolist()}")
    if not np.array_equal(np.isfinite(recorded), np.isfinite(recomputed)):
        return Check(what, problem="has other places without a number")
    off = float(np.nanmax(np.abs(recorded.astype(np.float64) - recomputed), initial=0.0))
    return Check(what, off / (scale or 1.0), allowed, "parts of the largest")


def row_check(
    what: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any], limits: Mapping[str, float]
) -> Check:
    """Numbers by name, each with its own limit; names that have none must be equal. Shows the one nearest its limit."""
    if recorded.keys() != recomputed.keys():
        return Check(what, problem="is not there" if not recorded else f"has {', '.join(map(str, recorded))}"[:200])
    checks = []
    for name, value in recomputed.items():
        other = recorded[name]
        if name in limits and value is not None and isinstance(other, int | float):
            checks.append(Check(what, abs(other - value), limits[name], name))
        elif other != value:
            return Check(what, problem=f"{name} is {str(other)[:40]!r}, recomputed is {value!r}")
    return worst(checks) if checks else Check(what)


def frame_check(
    what: str, recorded: pd.DataFrame, recomputed: pd.DataFrame, allowed: float, *, counted: Collection[str] = ()
) -> Check:
    """A table, each column off by at most this share of its largest number; differences of columns by the table's.

    counted: columns of shares that roundings move by whole queries, which may be off by COUNTED more.
    """
    if list(recorded.columns) != list(recomputed.columns) or len(recorded) != len(recomputed):
        return Check(what, problem=f"has {len(recorded)} rows of {', '.join(map(str, recorded.columns))}"[:200])
    keys = [name for name in recomputed.columns if name in _KEYS]
    rest = [name for name in recomputed.columns if name not in keys]
    if recorded[keys].to_numpy().tolist() != recomputed[keys].to_numpy().tolist():
        return Check(what, problem=f"is of other {', '.join(keys)}")
    scales = _scales(recomputed[rest])
    checks = []
    for name in rest:
        before, now = _floats(recorded[name]), _floats(recomputed[name])
        if not np.array_equal(np.isnan(before), np.isnan(now)):
            return Check(what, problem=f"{name} has other places without a number")
        off = float(np.nanmax(np.abs(before - now), initial=0.0))
        checks.append(Check(what, off, allowed * scales[name] + COUNTED * (name in counted), str(name)))
    return worst(checks) if checks else Check(what, problem="has no numbers")


def _scales(frame: pd.DataFrame) -> dict[str, float]:
    """Of each column, its largest number; of a column of differences, the largest of all."""
    largest = {str(name): float(np.nanmax(np.abs(_floats(frame[name])), initial=_LEAST)) for name in frame.columns}
    return {name: max(largest.values()) if " − " in name else scale for name, scale in largest.items()}


def _floats(column: pd.Series) -> np.ndarray:
    """A column as float64; where it holds no numbers, NaN."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
