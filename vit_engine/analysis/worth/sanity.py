"""The sanity check of maps: a map that is about what a model has learned is another one where its weights are random.

Adebayo et al. 2018, arXiv 1810.03292: methods whose maps hardly change show the picture, its edges say, and no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from vit_engine.analysis.explain import explain
from vit_engine.analysis.maps.agreement import agreement
from vit_engine.analysis.methods import Value, find_method
from vit_engine.analysis.run import Run, Traced
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.progress import Progress
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.targets import NormTarget, Target
from vit_engine.weights import LoadedModel, load_model

SEEDS = 3
HARDLY = 0.5  # a rank correlation of absolute values from which on a map hardly changes


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How alike a map and the maps on randomised weights are, one a seed.

    correlations, absolute_correlations: float64 (seeds,), Spearman's rank correlation over the patches of values and of
    absolute values, −1..1, as in the paper; NaN where a map is even. They cannot be written to. A correlation near 1
    says that the weights do not matter. Source: Adebayo et al. 2018, arXiv 1810.03292.
    """

    method: str
    label: str  # of the map
    correlations: np.ndarray
    absolute_correlations: np.ndarray
    top: int | None  # how many of the last layers were randomised; None: all weights

    def __post_init__(self) -> None:
        for name in ("correlations", "absolute_correlations"):
            shared = getattr(self, name).view()
            shared.setflags(write=False)
            object.__setattr__(self, name, shared)

    def __repr__(self) -> str:
        count = len(self.correlations)
        where = "all weights" if self.top is None else f"the last {self.top} layers"
        return f"SanityCheck({self.label!r}, rank correlation {self.mean:.2f} ± {self.spread:.2f}, {count} × {where})"

    @property
    def mean(self) -> float:
        """Of the correlations that are numbers; NaN where none is."""
        return _mean(self.correlations)

    @property
    def spread(self) -> float:
        """Their standard deviation over the seeds."""
        return _spread(self.correlations)

    @property
    def absolute_mean(self) -> float:
        return _mean(self.absolute_correlations)

    @property
    def absolute_spread(self) -> float:
        return _spread(self.absolute_correlations)

    @property
    def hardly_changes(self) -> bool:
        """Whether the map is much the same without what was learned: absolute_mean is at least HARDLY."""
        return self.absolute_mean >= HARDLY


def randomised(loaded: LoadedModel, seed: int = 0, *, top: int | None = None) -> LoadedModel:
    """The same model with fresh weights of a seed, on its device and in its precision; `loaded` stays as it is.

    The final norm has its own gains and biases in a random order instead: fresh ones, all 1 and 0, would make the norm
    of every image embedding the same. top: randomises only so many of the last layers, and what follows them: the
    cascading randomisation of Adebayo et al. 2018. Its report says that it is random. SpecError for a number of layers
    that there is not, and for a seed that is no whole number in 0..2^63 − 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**63:
        raise SpecError(f"seed must be a whole number in 0..2^63 - 1; got {seed!r}.")
    depth = loaded.spec.depth
    if top is not None and (isinstance(top, bool) or not isinstance(top, Integral) or not 1 <= top <= depth):
        raise SpecError(f"top must be in 1..{depth}, the layers of {loaded.spec.name!r}, or None; got {top!r}.")
    fresh = load_model(loaded.spec, weights="random", device=loaded.device, seed=seed)
    fresh.model.to(loaded.dtype)
    order = torch.randperm(loaded.spec.dim, generator=torch.Generator().manual_seed(seed)).to(loaded.device)
    trained, random = loaded.model.state_dict(), fresh.model.state_dict()
    for name, values in random.items():
        if name.startswith("norm."):
            values.copy_(trained[name][order])
        elif top is not None and not name.startswith(_last_layers(depth, top)):
            values.copy_(trained[name])
    source = fresh.report.source if top is None else f"{fresh.report.source} in the last {top} of {depth} layers"
    return replace(fresh, report=replace(fresh.report, source=source))


def _last_layers(depth: int, top: int) -> tuple[str, ...]:
    """What names of parameters of so many layers, and of what follows them, begin with."""
    return ("norm.", "head.", "head_dist.", *(f"blocks.{layer}." for layer in range(depth - top, depth)))


def randomised_map(
    run: Traced,
    method: str,
    *,
    layer: int = -1,
    head: int | str = "mean",
    query: Query = "cls",
    target: Target | int | str | None = None,
    options: Mapping[str, Value] = MappingProxyType({}),
    seed: int = 0,
    top: int | None = None,
    progress: Progress | None = None,
) -> AttentionMap:
    """The method's map of the run's picture where the weights are random: what faithfulness() is to be compared with.

    run: with its model and its prepared picture. method, layer, head, query, target, options: as in
    Method.attribute(); where target is None, it is that of the run with its own weights; of the target 'norm' the final
    norm keeps its gains. seed, top: as in randomised(). progress: as in explain().
    Raises what Method.attribute() and randomised() raise, and SpecError for a run without its model.
    """
    run = Run.of(run)
    if run.loaded is None or run.prepared is None:
        raise SpecError("randomised weights need the model; got a trace alone. Pass Run(trace, loaded, prepared).")
    asked = run.target(target) if "target" in find_method(method).depends_on else None
    fresh = randomised(run.loaded, seed, top=top)
    if isinstance(asked, NormTarget):  # fresh gains are even: all embeddings would be equally long
        fresh.model.norm.load_state_dict(run.loaded.model.norm.state_dict())
    choices: dict[str, Any] = {"layer": layer, "head": head, "query": query, "target": asked, **options}
    shown = explain(fresh, run.prepared, method=method, progress=progress, **choices)
    return replace(shown, label=f"{shown.label} · random weights, seed {seed}")


def sanity(
    run: Traced,
    method: str,
    *,
    layer: int = -1,
    head: int | str = "mean",
    query: Query = "cls",
    target: Target | int | str | None = None,
    options: Mapping[str, Value] = MappingProxyType({}),
    seeds: int = SEEDS,
    top: int | None = None,
    progress: Progress | None = None,
) -> SanityCheck:
    """How much a method's map is the same where the model's weights are random.

    seeds: of weights, 0, 1, …, one map each. The other arguments and errors are those of randomised_map().
    progress(fraction, message) is called after each seed. SpecError for fewer than one seed.
    """
    if not isinstance(seeds, Integral) or seeds < 1:
        raise SpecError(f"seeds must be a whole number of at least 1; got {seeds!r}.")
    choices: dict[str, Any] = {"layer": layer, "head": head, "query": query, "target": target, "options": options}
    shown = find_method(method).attribute(run, **choices).map
    correlations = np.empty((2, seeds))
    for seed in range(seeds):
        other = randomised_map(run, method, seed=seed, top=top, **choices)
        correlations[:, seed] = rank_correlations(shown, other)
        if progress is not None:
            progress((seed + 1) / seeds, f"random weights {seed + 1} of {seeds}")
    return SanityCheck(find_method(method).name, shown.label, correlations[0], correlations[1], top)


def rank_correlations(first: AttentionMap, second: AttentionMap) -> tuple[float, float]:
    """Spearman's of values and of absolute values over the patches, −1..1; NaN where a map is even or has no mass."""
    absolute = agreement(_absolute(first), _absolute(second))
    return agreement(first, second).spearman, absolute.spearman


def _absolute(shown: AttentionMap) -> AttentionMap:
    return replace(shown, values=np.abs(shown.values))


def _mean(values: np.ndarray) -> float:
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if numbers.size else float("nan")


def _spread(values: np.ndarray) -> float:
    numbers = values[np.isfinite(values)]
    return float(numbers.std()) if numbers.size else float("nan")
