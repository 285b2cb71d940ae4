"""How close numbers are to those that were recorded: of a row, of a table, of an array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_LEAST = 0.01  # a column of smaller numbers is compared as if its largest were this
_KEYS = {"pane", "model", "layer", "head", "first", "second"}  # what tells rows apart


@dataclass(frozen=True)
class Check:
    """One comparison: what of, how far off at most, what is allowed, and of which number. problem: instead of these."""

    what: str
    deviation: float = 0.0
    tolerance: float = 0.0
    of: str = ""
    problem: str = ""

    @property
    def matches(self) -> bool:
        """Whether it is as recorded."""
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


def array_check(what: str, found: np.ndarray | None, made: np.ndarray, allowed: float, scale: float) -> Check:
    """An array, off by at most this part of `scale`, or of 1 where that is 0; whole numbers not at all."""
    if found is None:
        return Check(what, problem=f"is not there, or no {made.dtype} {made.shape}")
    if np.issubdtype(made.dtype, np.integer):
        same = np.array_equal(found, made)
        return Check(what, problem="" if same else f"is {found.tolist()}, made is {made.tolist()}")
    if not np.array_equal(np.isfinite(found), np.isfinite(made)):
        return Check(what, problem="has other places without a number")
    off = float(np.nanmax(np.abs(found.astype(np.float64) - made), initial=0.0))
    return Check(what, off / (scale or 1.0), allowed, "parts of the largest")


def row_check(what: str, found: Mapping[str, Any], made: Mapping[str, Any], limits: Mapping[str, float]) -> Check:
    """Numbers by name, each with its own limit; names that have none must be equal. Shows the one nearest its limit."""
    if found.keys() != made.keys():
        return Check(what, problem="is not there" if not found else f"has {', '.join(map(str, found))}"[:200])
    checks = []
    for name, value in made.items():
        other = found[name]
        if name not in limits or value is None or not isinstance(other, int | float):
            if other != value:
                return Check(what, problem=f"{name} is {str(other)[:40]!r}, made is {value!r}")
            continue
        checks.append(Check(what, abs(other - value), limits[name], name))
    return worst(checks) if checks else Check(what)


def frame_check(what: str, found: pd.DataFrame, made: pd.DataFrame, allowed: float) -> Check:
    """A table, each column off by at most this share of its largest number; differences of columns by the table's."""
    if list(found.columns) != list(made.columns) or len(found) != len(made):
        return Check(what, problem=f"has {len(found)} rows of {', '.join(map(str, found.columns))}"[:200])
    keys = [name for name in made.columns if name in _KEYS]
    rest = [name for name in made.columns if name not in keys]
    if [list(row) for row in found[keys].itertuples(index=False)] != [
        list(row) for row in made[keys].itertuples(index=False)
    ]:
        return Check(what, problem=f"is of other {', '.join(keys)}")
    scales = _scales(made[rest])
    checks = [_column_check(what, found[name], made[name], allowed, scales[name]) for name in rest]
    return worst(checks)


def _scales(frame: pd.DataFrame) -> dict[str, float]:
    """Of each column, its largest number; of a column of differences, the largest of all."""
    largest = {str(name): float(np.nanmax(np.abs(_floats(frame[name])), initial=_LEAST)) for name in frame.columns}
    return {name: max(largest.values()) if " − " in name else scale for name, scale in largest.items()}


def _floats(column: pd.Series) -> np.ndarray:
    """A column as float64; where it holds no numbers, NaN."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)


def _column_check(what: str, found: pd.Series, made: pd.Series, allowed: float, scale: float) -> Check:
    there, here = _floats(found), _floats(made)
    if not np.array_equal(np.isnan(there), np.isnan(here)):
        return Check(what, problem=f"{made.name} has other places without a number")
    off = float(np.nanmax(np.abs(there - here), initial=0.0))
    return Check(what, off, allowed * scale, str(made.name))
