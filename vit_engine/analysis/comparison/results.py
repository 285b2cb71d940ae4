"""What the panes of a comparison show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vit_engine.analysis.comparison.pane import MAX_PANES, Pane, letter
from vit_engine.analysis.comparison.place import Place, query_patch
from vit_engine.analysis.comparison.targets import pane_target
from vit_engine.analysis.maps.mask import check_share
from vit_engine.analysis.methods import Attribution, Needs, find_method
from vit_engine.analysis.run import Run, Traced
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.trace import AttentionTrace
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.targets import Target
from vit_engine.weights import LoadReport


@dataclass(frozen=True, eq=False)
class PaneResult:
    """One pane and what it shows. SpecError for a map or pixels of another grid than the trace's."""

    name: str  # "A", "B", …
    pane: Pane  # its layer counted from 0
    trace: AttentionTrace
    query: Query  # in the pane's own grid
    map: AttentionMap
    pixels: np.ndarray  # uint8 (height, width, 3), as the model saw them
    report: LoadReport  # where the model's weights are from
    heads: np.ndarray  # what the map is made of, as an Attribution has it
    pca: PcaMap | None = None  # its principal components and their colours, of a pane that shows these
    target: Target | None = None  # what the map is evidence of, where its method depends on one
    score: float | None = None  # the target's value, where the run knows it
    note: str = ""  # why the map is zero everywhere, as a sentence

    @property
    def diverging(self) -> bool:
        """Whether the map's values are for and against a target, so that colours are centred on zero."""
        method = find_method(self.pane.method)
        return method.signed and "target" in method.depends_on

    def __post_init__(self) -> None:
        grid = self.trace.grid
        if self.map.grid != grid or self.pixels.shape != (grid.height, grid.width, 3):
            raise SpecError(
                f"pane {self.name} needs a map on {grid} and pixels {(grid.height, grid.width, 3)}; "
                f"got {self.map.grid} and {self.pixels.shape}."
            )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several maps of one picture at one size; SpecError for other panes, none or too many, or one name twice."""

    results: tuple[PaneResult, ...]  # one that could not be shown is left out, the others keep their names
    frame: tuple[int, int]  # the scaled picture (height, width) in pixels, before the crop to patches
    reference: str = "A"  # the pane that the others are compared with; the first that is shown, where it is not
    point: Place | None = None  # the shared query; None for the CLS token
    keep: float = 0.6  # the share of the mass in masks, 0..1

    def __post_init__(self) -> None:
        check_share(self.keep)
        names = [one.name for one in self.results]
        if not 1 <= len(names) <= MAX_PANES or len(set(names)) < len(names):
            raise SpecError(f"a comparison needs 1..{MAX_PANES} panes with names of their own; got {names}.")
        if len({one.trace.image_sha256 for one in self.results}) > 1:
            raise SpecError("a comparison needs panes of one picture; got several pictures.")
        for one in self.results:
            expected = one.trace.spec.cropped_grid(*self.frame)
            if one.trace.grid != expected:  # its pixels would not be the others'
                raise SpecError(
                    f"pane {one.name} of a picture of {self.frame[0]}×{self.frame[1]} px must be on {expected}; "
                    f"got {one.trace.grid}. Prepare the picture at one size for all panes."
                )

    @property
    def base(self) -> PaneResult:
        return next((one for one in self.results if one.name == self.reference), self.results[0])


def evaluate_pane(
    number: int,
    pane: Pane,
    run: Traced,
    pixels: np.ndarray,
    report: LoadReport,
    *,
    frame: tuple[int, int],
    point: Place | None,
    fitted_to: Sequence[int] = (),
    target: Target | None = None,
    attribution: Attribution | None = None,
) -> PaneResult:
    """The pane of this number with its map; SpecError for a layer, head, option or target that the model does not have.

    fitted_to: pca_layers() of the panes of its model. target: where the pane's own needs more than its name to be
    known, as another picture or a text does. attribution: what the pane's method says, where it was asked before.
    """
    run = Run.of(run)
    method = find_method(pane.method)
    pane = replace(pane, layer=run.trace.spec.layer_number(pane.layer))
    query = query_patch(pane.query, point, run.trace.grid, frame)
    if attribution is None:
        choices: dict[str, Any] = {"layer": pane.layer, "head": pane.head, "query": query, "fitted_to": fitted_to}
        choices["target"] = target or pane_target(pane, run.trace, frame)
        attribution = method.attribute(run, options=pane.chosen, **choices)
    found, score = attribution, None
    if found.target is not None and method.needs.target:
        score = run.differentiated(found.target, backward=method.needs is Needs.GRADIENTS).score
    more: dict[str, Any] = {"pca": found.pca, "target": found.target, "score": score, "note": found.note}
    return PaneResult(letter(number), pane, run.trace, query, found.map, pixels, report, found.heads, **more)
