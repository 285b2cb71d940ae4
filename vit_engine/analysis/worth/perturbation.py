"""A picture of which only some patches are kept, and what a model scores it: many of them, in batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from vit_engine.errors import NumericalError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model import VisionTransformer
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.peak import peak_bytes
from vit_engine.planning.plan import TOKEN, RunPlan
from vit_engine.progress import Progress
from vit_engine.resources.budget import memory_budget
from vit_engine.spec import ModelSpec
from vit_engine.trace.checks import check_fit, memory_errors
from vit_engine.trace.targets import ClassTarget, Target
from vit_engine.weights import LoadedModel

BLUR = "blur"
MEAN = "mean"
BASELINES = {BLUR: "the blurred picture", MEAN: "the picture's mean colour"}
BLUR_SHARE = 1 / 16  # of the short side: the standard deviation, which leaves colours and no shapes
# A batch is as fast with 1,000 tokens as with 8,000 on a CPU; a GPU has cores to fill.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 65_536


def baseline_picture(tensor: Float[Tensor, "3 height width"], baseline: str) -> Float[Tensor, "3 height width"]:
    """What takes the place of patches: a name of BASELINES; SpecError for another."""
    if baseline not in BASELINES:
        raise SpecError(f"baseline must be one of {', '.join(map(repr, BASELINES))}; got {baseline!r}.")
    if baseline == MEAN:
        return tensor.mean(dim=(1, 2), keepdim=True).expand_as(tensor)
    deviation = min(tensor.shape[1:]) * BLUR_SHARE
    return torch.from_numpy(gaussian_filter(tensor.numpy(), sigma=(0, deviation, deviation), mode="nearest"))


def forward_plan(spec: ModelSpec, *, device: str | torch.device, dtype: torch.dtype) -> RunPlan:
    """A plain forward pass of one picture, as planning knows it."""
    return RunPlan.asked(spec, layers=-1, device=device, dtype=dtype, facet=TOKEN, precision="float32")


def batch_pictures(plan: RunPlan, grid: TokenGrid) -> int:
    """How many pictures pass at once where memory is plenty."""
    tokens = CPU_BATCH_TOKENS if plan.device.type == "cpu" else GPU_BATCH_TOKENS
    return max(1, tokens // grid.tokens)


def picture_bytes(plan: RunPlan, grid: TokenGrid) -> int:
    """The most bytes that one picture of a batch takes: its forward pass, and itself in float32."""
    return peak_bytes(plan, grid) + 2 * 3 * grid.height * grid.width * torch.float32.itemsize


def target_score(model: VisionTransformer, tokens: Float[Tensor, "B N D"], target: Target) -> Float[Tensor, "B"]:
    """What is measured of each picture: for a class its softmax probability, else the target's own score."""
    if isinstance(target, ClassTarget):
        return model.classify(tokens).float().softmax(dim=-1)[:, target.number]
    return target.score(model, tokens).float()


@dataclass(frozen=True, eq=False)
class Perturbed:
    """One picture in one model, of which patches can be replaced. SpecError where they do not fit each other."""

    loaded: LoadedModel
    prepared: PreparedImage
    baseline: Tensor  # float32 (3, height, width), normalised

    def __post_init__(self) -> None:
        check_fit(self.prepared.grid, self.loaded.spec)

    def bound(self, target: Target) -> Target:
        """The target with what it takes from the picture fixed, from the picture as it is."""
        with torch.inference_mode(), memory_errors(self.prepared.grid, self.loaded):
            tokens = self._last_tokens(self.prepared.tensor[None])
            return target.bound(self.loaded.model, tokens, self.prepared.grid)

    def scores(self, kept: Bool[np.ndarray, "n patches"], target: Target, progress: Progress) -> np.ndarray:
        """Of n pictures that keep these patches and have the baseline elsewhere: float64 (n,).

        In batches that fit the memory budget; ResourceError where not even one does, NumericalError for a score that is
        no number. target: bound. progress is called after each batch.
        """
        results = np.empty(len(kept))
        with torch.inference_mode(), memory_errors(self.prepared.grid, self.loaded):
            for part in self._batches(len(kept)):
                tokens = self._last_tokens(self._pictures(torch.from_numpy(kept[part])))
                results[part] = target_score(self.loaded.model, tokens, target).cpu().numpy()
                done = min(part.stop, len(kept))
                progress(done / len(kept), f"picture {done} of {len(kept)}")
        if not np.isfinite(results).all():
            raise NumericalError(
                f"the {target.label!r} of {self.loaded.spec.name!r} is no number for some pictures: activations "
                "overflow. Run the model in float32: loaded.model.float()."
            )
        return results

    def _batches(self, count: int) -> Iterator[slice]:
        plan = forward_plan(self.loaded.spec, device=self.loaded.device, dtype=self.loaded.dtype)
        grid = self.prepared.grid
        check_memory(plan, grid)
        fitting = memory_budget(plan.device) // picture_bytes(plan, grid)
        step = max(1, min(fitting, batch_pictures(plan, grid)))
        return (slice(start, start + step) for start in range(0, count, step))

    def _pictures(self, kept: Bool[Tensor, "B patches"]) -> Float[Tensor, "B 3 height width"]:
        grid = self.prepared.grid
        pixels = kept.reshape(-1, 1, *grid.shape)
        for axis in (2, 3):
            pixels = pixels.repeat_interleave(grid.patch_size, dim=axis)
        return torch.where(pixels, self.prepared.tensor, self.baseline)

    def _last_tokens(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B N D"]:
        """Before the final norm."""
        model, images = self.loaded.model, images.to(self.loaded.device, self.loaded.dtype)
        tokens, rotation = model.embed(images), model.rotation(images)
        for block in model.blocks:
            tokens = block(tokens, rotation)
        return tokens
