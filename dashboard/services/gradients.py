"""The gradient of a target of one picture in one model: run once, kept for all sessions."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import vit_engine as ve
from dashboard.services import limits, targets
from dashboard.services.analyses import Request
from dashboard.services.jobs import Store
from dashboard.services.process import once_per_process
from dashboard.services.requests import PictureRequest
from vit_engine.progress import Progress
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.targets import NORM


@dataclass(frozen=True, eq=False)
class GradientAnalysis:
    """One target of one picture in one model: all that gradient methods read, of all layers."""

    gradients: ve.Gradients
    report: ve.LoadReport

    @property
    def record(self) -> ve.Gradients:
        """What the run left."""
        return self.gradients


@dataclass(frozen=True, eq=False)
class GradientRequest(PictureRequest[GradientAnalysis]):
    """The gradient of one target of one picture in one model at one working size; one run serves all methods."""

    KEPT, LIMIT = "gradients", "GRADIENT_BYTES"

    target: str = NORM  # as targets.find() takes it

    @property
    def key(self) -> Hashable:
        return super().key, "gradients", self.target

    def store(self) -> Store[GradientAnalysis]:
        return _gradients()

    def options(self) -> dict[str, Any]:
        return {"gradients": True}

    def run(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, report: Progress) -> GradientAnalysis:
        analysed = Request(self.picture, self.spec, self.size).kept
        _, gradients = differentiate(
            loaded,
            prepared,
            target=targets.find(self.target, loaded, self.size),
            trace=None if analysed is None else analysed.trace,
            progress=report,
        )
        return GradientAnalysis(gradients, loaded.report)


_gradients = once_per_process(
    lambda: Store[GradientAnalysis](limits.GRADIENT_BYTES, size=lambda analysis: analysis.gradients.nbytes)
)
