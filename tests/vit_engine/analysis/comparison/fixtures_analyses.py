"""One picture in one model: what a pane is made of."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vit_engine.analysis.comparison import Pane, PaneResult, Point, evaluate_pane
from vit_engine.image import prepare_image
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel, LoadReport

FRAME = (53, 77)  # px: cropped to other sizes by patches of 4, 8 and 16


@dataclass(frozen=True)
class Analysed:
    """A trace, the pixels that it is of, and where the weights are from."""

    trace: AttentionTrace
    pixels: np.ndarray
    report: LoadReport

    def shown(self, number: int = 0, *, point: Point | None = None, **options: object) -> PaneResult:
        """The pane of this number; options as for Pane."""
        pane = Pane(self.trace.spec.name, **options)
        return evaluate_pane(number, pane, self.trace, self.pixels, self.report, frame=FRAME, point=point)


def analysed(loaded: LoadedModel, *, seed: int = 0, size: tuple[int, int] = FRAME, statistics: str = "all") -> Analysed:
    """A picture of noise in a model."""
    noise = np.random.default_rng(seed).integers(0, 256, (29, 31, 3), dtype=np.uint8)
    prepared = prepare_image(Image.fromarray(noise), loaded.spec, size=size)
    return Analysed(attend(loaded, prepared, statistics=statistics), prepared.pixels, loaded.report)
