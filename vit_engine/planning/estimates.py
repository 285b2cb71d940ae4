"""What a run will take, what there is, and the largest picture between the two."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from vit_engine.decoding import MAX_PIXELS
from vit_engine.errors import ResourceError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import target_size, with_short_side
from vit_engine.planning.peak import kept_bytes, peak_bytes
from vit_engine.planning.plan import Layers, RunPlan
from vit_engine.planning.speed import Work, rates, work_of
from vit_engine.registry import find_model
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes, memory_budget
from vit_engine.spec import ModelSpec
from vit_engine.weights import LoadedModel


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    grid: its tokens. peak_bytes: the most at once, beside the loaded model and the prepared picture; an
    upper bound. kept_bytes: what the trace keeps. work: what there is to compute.
    """

    grid: TokenGrid
    peak_bytes: int
    kept_bytes: int
    work: Work = field(repr=False)

    @property
    def seconds(self) -> float:
        """Expected on this machine at the present number of threads.

        The first call measures the machine's rates, which takes some tenths of a second. Raises
        SpecError where PyTorch cannot use the device here, ResourceError where its memory is full.
        """
        return rates(self.work.device, self.work.dtype).seconds(self.work)


def estimate(
    spec: ModelSpec | LoadedModel | str,
    size: int | tuple[int, int] | TokenGrid,
    *,
    layers: Layers = "all",
    statistics: str = "all",
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
    facet: str = "",
    precision: str = "float16",
    gradients: bool = False,
) -> Estimate:
    """What attend() will take on a picture of this size, or features() where a facet is named; nothing is run.

    gradients: what the gradient of a target will take in their place, all layers with their readouts, beside a trace
    that is there. Integrated gradients take as long once a step, and keep nothing.

    spec: that of a model, a LoadedModel, or a name from list_models(). size: an int is the side of a square picture in
    pixels, (height, width) is exact, both cropped to whole patches as prepare_image does it; or the grid of a prepared
    image. layers, statistics: as in attend(). device, dtype: of the loaded model. facet, precision: as in features().
    Raises SpecError for what does not exist or fit.
    """
    spec = find_model(spec) if isinstance(spec, str) else spec.spec if isinstance(spec, LoadedModel) else spec
    options: dict[str, Any] = {"device": device, "dtype": dtype, "facet": facet, "precision": precision}
    run = RunPlan.asked(spec, layers=layers, statistics=statistics, gradients=gradients, **options)
    grid = _grid(spec, size)
    return Estimate(grid, peak_bytes(run, grid), kept_bytes(run, grid), work_of(run, grid))


def check_memory(run: RunPlan, grid: TokenGrid, *, before: Sequence[RunPlan] = ()) -> None:
    """ResourceError where a run needs more than memory_budget(device), naming the largest size that fits.

    before: runs of the same picture, on which this one follows while what they keep is in memory.
    """
    needed, budget = _needed(run, grid, before), memory_budget(run.device)
    if needed > budget:
        largest = largest_size(run, _longest_shape(grid), budget, before=before)
        raise ResourceError(
            f"a run must fit the memory budget of {format_bytes(budget)} on {str(run.device)!r}; {run.spec.name!r} "
            f"at {grid.height}×{grid.width} px ({grid.tokens:,} tokens) needs {format_bytes(needed)}. "
            f"{_advice(largest)}, or set {BUDGET_VARIABLE} where more is free."
        )


def _advice(largest: int | None) -> str:
    if largest is None:
        return "Not even one patch fits: use a smaller model"
    return f"Use a smaller size: at this aspect a short side of {largest} px is the largest that fits"


def largest_size(run: RunPlan, shape: tuple[int, int], budget: int, *, before: Sequence[RunPlan] = ()) -> int | None:
    """The largest short side, in pixels and whole patches, of a run that needs at most `budget` bytes.

    shape: (height, width) of the picture, whose aspect ratio is kept; its unit does not matter. before: as in
    check_memory(). It stays within
    the pixels that prepare_image allows. None where not even one patch fits. Found by a binary search, since the peak
    never falls where the picture grows.
    """

    def too_large(patches: int) -> bool:
        height, width = with_short_side(shape, patches * run.spec.patch_size)
        grid = run.spec.cropped_grid(height, width)
        return height * width > MAX_PIXELS or _needed(run, grid, before) > budget

    longest = math.isqrt(MAX_PIXELS) // run.spec.patch_size  # no short side is longer than a square's
    fitting = bisect.bisect_left(range(1, longest + 1), True, key=too_large)
    return fitting * run.spec.patch_size or None


def _needed(run: RunPlan, grid: TokenGrid, before: Sequence[RunPlan]) -> int:
    return peak_bytes(run, grid) + sum(kept_bytes(each, grid) for each in before)


def _longest_shape(grid: TokenGrid) -> tuple[int, int]:
    """The longest picture that is cropped to this grid: what is said to fit must fit whatever was cut off."""
    cut = grid.patch_size
    return (grid.height, grid.width + cut) if grid.rows <= grid.cols else (grid.height + cut, grid.width)


def _grid(spec: ModelSpec, size: int | tuple[int, int] | TokenGrid) -> TokenGrid:
    if not isinstance(size, TokenGrid):
        return spec.cropped_grid(*target_size((1, 1), spec, size))
    if (size.prefix, size.patch_size) != (spec.prefix, spec.patch_size):
        raise SpecError(
            f"a grid for {spec.name!r} must have {spec.prefix} prefix tokens and patches of {spec.patch_size} px; got "
            f"{size.prefix} and {size.patch_size} px. Make it with spec.grid(height, width)."
        )
    return size
