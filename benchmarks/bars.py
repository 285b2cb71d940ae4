"""The bars that the project sets itself: bounds on ratios within one benchmark, with one thread."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.plan import CLICK, METHOD_CASES, S8, S16, Job, label, tokens
from benchmarks.results import Results
from vit_engine.registry import find_model

MIB = 2**20


@dataclass(frozen=True)
class Bar:
    """A value, in the unit that is written behind it, and the bound that it should keep."""

    what: str
    where: str
    value: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def verdict(self) -> str:
        """How far the value is from the bound, in percent of the bound."""
        percent = f"{abs(self.value / self.bound - 1):.1%}"
        return f"met, {percent} to spare" if self.met else f"**missed by {percent}**"


BAR_CASES = ((S8, 480), (S8, 224), (S16, 224))
# What is divided by what, whether the quotient shall be at least or at most the bound, and the bounds in BAR_CASES.
TIME_BARS = (
    ("entropy", "limit", False, (1.30, 1.30, 1.30)),
    ("ours", "limit", False, (1.50, 1.45, 1.40)),
    ("explicit", "entropy", True, (3.0, 1.5, 1.0)),
    ("timm", "entropy", True, (1.6, 1.1, None)),
)
SPARE_BYTES = 32e6
LARGE, LARGE_BYTES = Job("ours", S8, 800), 1.5e9
CLICK_SECONDS = 0.010
METHOD_TIMES = (("rollout_from_trace", 1.0), ("relevance", 4.0), ("legrad", 2.2))  # × a plain forward pass
METHOD_CONTENDERS, METHOD_BYTES = ("rollout", "relevance", "legrad", "grad_cam"), 500e6


def bars(results: Results) -> list[Bar]:
    """All bars of attention whose runs are there."""
    return [*_time_bars(results), *_memory_bars(results), *_click_bar(results)]


def _time_bars(results: Results) -> Iterator[Bar]:
    for above, below, at_least, bounds in TIME_BARS:
        for (model, size), bound in zip(BAR_CASES, bounds, strict=True):
            ratio = results.ratio("cpu_seconds", Job(above, model, size), Job(below, model, size))
            if bound is not None and ratio is not None:
                yield Bar(f"{above} / {below}, CPU time", _where(model, size), ratio, bound, "×", at_least)


def _memory_bars(results: Results) -> Iterator[Bar]:
    for model, size in BAR_CASES:
        ours, limit = (results.median("bytes", Job(name, model, size)) for name in ("ours", "limit"))
        if ours is not None and limit is not None:
            bound = limit + kept_bytes(model, size) + SPARE_BYTES
            yield Bar("ours, extra peak memory", _where(model, size), ours / MIB, bound / MIB, "MiB")
    large = results.median("bytes", LARGE)
    if large is not None:
        where = _where(LARGE.model, LARGE.size)
        yield Bar("ours, extra peak memory", where, large / MIB, LARGE_BYTES / MIB, "MiB")


def _click_bar(results: Results) -> Iterator[Bar]:
    seconds = results.median("wall_seconds", Job("click", CLICK.model, CLICK.size))
    if seconds is not None:
        yield Bar("a click", _where(CLICK.model, CLICK.size), seconds * 1e3, CLICK_SECONDS * 1e3, "ms")


def method_bars(results: Results) -> Iterator[Bar]:
    """All bars of methods whose runs are there."""
    model, size = METHOD_CASES[-1].model, METHOD_CASES[-1].size
    for name, bound in METHOD_TIMES:
        ratio = results.ratio("cpu_seconds", Job(name, model, size), Job("limit", model, size))
        if ratio is not None:
            yield Bar(f"{name} / limit, CPU time", _where(model, size), ratio, bound, "×")
    for name in METHOD_CONTENDERS:
        extra = results.median("bytes", Job(name, model, size))
        if extra is not None:
            yield Bar(f"{name}, extra peak memory", _where(model, size), extra / MIB, METHOD_BYTES / MIB, "MiB")


def kept_bytes(model: str, size: int) -> int:
    """Of the queries and keys of all layers in float32, which a trace keeps."""
    spec = find_model(model)
    return 2 * spec.depth * tokens(model, size) * spec.dim * 4


def _where(model: str, size: int) -> str:
    return f"{label(model)} at {size}×{size}"
