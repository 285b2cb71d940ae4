"""What the tokens of a picture carry in a model: run once, kept for all sessions."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

import vit_engine as ve
from dashboard.services import limits
from dashboard.services.jobs import Store
from dashboard.services.process import once_per_process
from dashboard.services.requests import PictureRequest
from vit_engine.analysis.comparison import Point, query_patch
from vit_engine.analysis.tokens.pca import COMPONENTS, sign_references
from vit_engine.image import with_short_side
from vit_engine.planning.plan import FACETS
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes


@dataclass(frozen=True, eq=False)
class TokenAnalysis:
    """One picture in one model: one facet of all layers, and what the pages draw from."""

    features: ve.Features
    pixels: np.ndarray  # uint8 (height, width, 3), as the model saw them
    report: ve.LoadReport
    frame: tuple[int, int]  # (height, width) of the scaled picture before the crop to patches

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with those of what is computed in time, at most: components of all heads, and of each."""
        features, single, double = self.features, np.dtype(np.float32).itemsize, np.dtype(np.float64).itemsize
        axes = 2 * (2 * COMPONENTS + 2) * features.spec.dim * double  # of a layer: references, axes, mean, variances
        maps = 2 * COMPONENTS * features.grid.patches * single  # of a layer in Compare: components and colours
        return features.nbytes + self.pixels.nbytes + len(features.layers) * (axes + maps)

    @property
    def record(self) -> ve.Features:
        """What the run left."""
        return self.features

    def patch(self, point: Point | None) -> tuple[int, int] | None:
        """The patch (row, col) of a point, in fractions of the frame's height and width; None for the CLS token."""
        query = query_patch("shared", point, self.features.grid, self.frame)
        return None if isinstance(query, str) else query


@dataclass(frozen=True, eq=False)
class TokenRequest(PictureRequest[TokenAnalysis]):
    """One facet of the tokens of one picture in one model at one working size."""

    KEPT, LIMIT = "tokens", "FEATURE_BYTES"

    facet: str = "token"  # as features() has it

    @property
    def key(self) -> Hashable:
        return super().key, self.facet

    def store(self) -> Store[TokenAnalysis]:
        return _features()

    def options(self) -> dict[str, Any]:
        return {"facet": self.facet}

    def run(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, report: Progress) -> TokenAnalysis:
        def tell(share: float, layer: str) -> None:
            report(0.9 * share, f"{FACETS[self.facet]}: {layer}")

        features = self._features(loaded, prepared, tell)
        report(0.9, "principal components of all layers")
        sign_references(features)
        frame = with_short_side(self.picture.shape, self.size)
        return TokenAnalysis(features, prepared.pixels, loaded.report, frame)

    def _features(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, progress: Progress) -> ve.Features:
        """In float16, or where numbers are too large for that in float32."""
        try:
            return ve.features(loaded, prepared, facet=self.facet, progress=progress)
        except ve.NumericalError:  # where float32 overflows, too, the second run says so
            kept = ve.estimate(self.spec, prepared.grid, facet=self.facet, precision="float32").kept_bytes
            if kept > limits.FEATURE_BYTES:
                takes, most = format_bytes(kept), format_bytes(limits.FEATURE_BYTES)
                raise ve.ResourceError(
                    f"The {FACETS[self.facet]} of {self.spec.title} are too large for float16, and in float32 their "
                    f"{takes} are over the {most} kept here. Choose a smaller short side."
                ) from None
            return ve.features(loaded, prepared, facet=self.facet, precision="float32", progress=progress)


_features = once_per_process(lambda: Store[TokenAnalysis](limits.FEATURE_BYTES, size=lambda analysis: analysis.nbytes))
