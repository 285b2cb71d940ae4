"""Faithfulness: whether the score rises with the patches that a map shows, and falls without them.

Insertion and deletion of RISE (Petsiuk, Das, Saenko 2018, arXiv 1806.07421), patch by patch. A curve alone says
little: how high it is depends on the model, the picture and the baseline. So the same is done in random orders.
"""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool

from vit_engine.analysis.run import Run, Traced
from vit_engine.analysis.worth.perturbation import (
    BLUR,
    Perturbed,
    baseline_picture,
    batch_pictures,
    forward_plan,
    picture_bytes,
)
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.planning.estimates import Estimate, estimate
from vit_engine.progress import Progress
from vit_engine.registry import find_model
from vit_engine.spec import ModelSpec
from vit_engine.trace.attention_map import AttentionMap, Quantity
from vit_engine.trace.targets import ClassTarget, Target
from vit_engine.weights import LoadedModel

STEPS = 16
ORDERS = 5


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How a target's score follows the patches that a map puts first, beside random orders of the patches.

    fractions: float64 (steps + 1,), the share of the patches that were inserted or deleted, from 0 to 1. insertion,
    deletion: float64 (steps + 1,), the score with them: a probability 0..1 of a class, else in the target's own unit.
    random_insertion_curves, random_deletion_curves: float64 (orders, steps + 1). An area is the mean height of its
    curve, by trapezoids, in the unit of the score: a faithful map has a large one of insertion and a small one of
    deletion. Arrays cannot be written to. Source: RISE, Petsiuk et al. 2018, arXiv 1806.07421.
    """

    fractions: np.ndarray
    insertion: np.ndarray
    deletion: np.ndarray
    random_insertion_curves: np.ndarray
    random_deletion_curves: np.ndarray
    target: Target  # as it was asked for
    baseline: str  # a name of BASELINES
    label: str  # of the map

    def __post_init__(self) -> None:
        for name in ("fractions", "insertion", "deletion", "random_insertion_curves", "random_deletion_curves"):
            shared = getattr(self, name).view()
            shared.setflags(write=False)
            object.__setattr__(self, name, shared)

    def __repr__(self) -> str:
        orders = len(self.random_insertion_curves)
        return (
            f"Faithfulness({self.label!r}, {self.score_label}, insertion {self.insertion_area:.3f}, deletion "
            f"{self.deletion_area:.3f}, {len(self.fractions) - 1} steps, {orders} random orders)"
        )

    @property
    def score_label(self) -> str:
        """What the curves are of, in words."""
        probability = "probability of " if isinstance(self.target, ClassTarget) else ""
        return f"{probability}{self.target.label}"

    @property
    def insertion_area(self) -> float:
        return float(self._areas(self.insertion))

    @property
    def deletion_area(self) -> float:
        return float(self._areas(self.deletion))

    @property
    def random_insertion(self) -> np.ndarray:
        """Areas of the random orders: float64 (orders,)."""
        return self._areas(self.random_insertion_curves)

    @property
    def random_deletion(self) -> np.ndarray:
        """Areas of the random orders: float64 (orders,)."""
        return self._areas(self.random_deletion_curves)

    @property
    def insertion_gain(self) -> float:
        """The area above the mean of random orders: above 0 the map is better than chance; NaN without any order."""
        return self.insertion_area - _mean(self.random_insertion)

    @property
    def deletion_gain(self) -> float:
        """The area below the mean of random orders: above 0 the map is better than chance; NaN without any order."""
        return _mean(self.random_deletion) - self.deletion_area

    def to_frame(self) -> pd.DataFrame:
        """One row a step: the share of the patches, both curves, and mean and standard deviation of random ones."""
        columns = {"share_of_patches": self.fractions, "insertion": self.insertion, "deletion": self.deletion}
        for name, curves in (("insertion", self.random_insertion_curves), ("deletion", self.random_deletion_curves)):
            if len(curves):
                columns |= {f"random_{name}_mean": curves.mean(axis=0), f"random_{name}_std": curves.std(axis=0)}
        return pd.DataFrame(columns)

    def _areas(self, curves: np.ndarray) -> np.ndarray:
        return np.asarray(np.trapezoid(curves, self.fractions, axis=-1))


def faithfulness(
    run: Traced,
    map: AttentionMap,
    target: Target | int | str | None = None,
    *,
    baseline: str = BLUR,
    steps: int = STEPS,
    orders: int = ORDERS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Faithfulness:
    """Insertion and deletion curves of a map, and of random orders of the patches beside it.

    run: with its model and its prepared picture. map: on the run's grid; patches are taken from the largest value to
    the smallest, of a signed map too, and equal ones in a random order of the seed, so that an even map is no better
    than chance. target: as find_target() takes it; None is what the map explains, or the likeliest class; what it takes
    from the picture is fixed to the picture as it is. baseline: what takes the place of patches: "blur", the picture
    under a Gaussian of a sixteenth of its short side, or "mean", its mean colour. steps: of equal shares of the
    patches, at most one a patch. orders: random ones, 0 for none. progress(fraction, message) is called after each
    batch.

    Deterministic. 2 · (steps − 1) · (1 + orders) + 3 forward passes, in batches that fit memory_budget();
    estimate_faithfulness() says what that takes. Raises SpecError for a run without its model, a map on another grid,
    of values that are not finite or of a principal component, and for steps, orders or a baseline that cannot be;
    ResourceError where not even one picture fits; NumericalError for scores that are no numbers.
    """
    run = Run.of(run)
    if run.loaded is None or run.prepared is None:
        raise SpecError("faithfulness runs the model again; got a trace alone. Pass Run(trace, loaded, prepared).")
    _check_map(map, run.trace.grid)
    _check_counts(steps, orders, seed)
    asked = run.target(map.target if target is None else target)
    perturbed = Perturbed(run.loaded, run.prepared, baseline_picture(run.prepared.tensor, baseline))
    counts = step_counts(run.trace.grid, steps)
    kept = kept_patches(_ranks(map, orders, seed), counts)
    pictures, places = np.unique(kept.reshape(-1, kept.shape[-1]), axis=0, return_inverse=True)  # ends are shared
    scores = perturbed.scores(pictures, perturbed.bound(asked), progress or (lambda fraction, message: None))
    insertion, deletion = scores[places].reshape(kept.shape[:-1])
    fractions = counts / run.trace.grid.patches
    curves = insertion[0], deletion[0], insertion[1:], deletion[1:]
    return Faithfulness(fractions, *curves, target=asked, baseline=baseline, label=map.label)


def estimate_faithfulness(
    spec: ModelSpec | LoadedModel | str,
    size: int | tuple[int, int] | TokenGrid,
    *,
    steps: int = STEPS,
    orders: int = ORDERS,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Estimate:
    """What faithfulness() will take where memory is plenty; nothing is run. It keeps next to nothing.

    spec, size, device, dtype, errors: as in estimate(). steps, orders: as in faithfulness().
    """
    _check_counts(steps, orders)
    single = estimate(spec, size, layers=-1, device=device, dtype=dtype, facet="token", precision="float32")
    known = find_model(spec) if isinstance(spec, str) else spec.spec if isinstance(spec, LoadedModel) else spec
    plan = forward_plan(known, device=device, dtype=dtype)
    passes = 2 * (len(step_counts(single.grid, steps)) - 2) * (1 + orders) + 3  # one to bind the target
    pictures = min(passes, batch_pictures(plan, single.grid))
    scores = {kind: passes * count for kind, count in single.work.scores.items()}
    layers = {kind: passes * count for kind, count in single.work.layers.items()}
    work = replace(single.work, products=passes * single.work.products, scores=scores, layers=layers)
    return Estimate(single.grid, pictures * picture_bytes(plan, single.grid), 0, work)


def step_counts(grid: TokenGrid, steps: int) -> np.ndarray:
    """How many patches are changed at each step, from none to all: int (steps + 1,), ascending without repeats."""
    steps = min(steps, grid.patches)
    return np.round(np.arange(steps + 1) * grid.patches / steps).astype(int)


def kept_patches(ranks: np.ndarray, counts: np.ndarray) -> Bool[np.ndarray, "curve order step patches"]:
    """Which patches of the picture are there at each step of insertion and of deletion.

    ranks: (orders, patches), the place of each patch in each order.
    """
    inserted = ranks[:, None] < counts[:, None]
    return np.stack([inserted, ~inserted])


def _ranks(shown: AttentionMap, orders: int, seed: int) -> np.ndarray:
    """The place of each patch in the map's order, and in random ones: int (1 + orders, patches)."""
    patches = shown.grid.patches
    shuffled = [np.random.default_rng([seed, number]).permutation(patches) for number in range(1 + orders)]
    by_value = np.lexsort((shuffled[0], -shown.values.ravel()))  # equal values in a random order
    return np.argsort([by_value, *shuffled[1:]], axis=1)


def _check_map(shown: AttentionMap, grid: TokenGrid) -> None:
    if not isinstance(shown, AttentionMap):
        raise SpecError(f"the map must be an AttentionMap, as attribute() gives it; got {type(shown).__name__}.")
    if shown.grid != grid:
        raise SpecError(f"the map must be on the run's grid, {grid}; got {shown.label!r} on {shown.grid}.")
    if shown.quantity is Quantity.FITTED:
        raise SpecError(f"{shown.label!r} is a principal component, whose sign means nothing: it orders no patches.")
    if not np.isfinite(shown.values).all():
        raise SpecError(f"the map must be finite to order patches; {shown.label!r} is not.")


def _check_counts(steps: int, orders: int, seed: int = 0) -> None:
    for name, value, least in (("steps", steps, 1), ("orders", orders, 0), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise SpecError(f"{name} must be a whole number of at least {least}; got {value!r}.")


def _mean(areas: np.ndarray) -> float:
    return float(areas.mean()) if areas.size else float("nan")
