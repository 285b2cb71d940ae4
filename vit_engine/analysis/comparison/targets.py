"""What the target of a pane is in its model."""

from vit_engine.analysis.comparison import place
from vit_engine.analysis.comparison.choices import TARGET
from vit_engine.analysis.comparison.pane import Pane
from vit_engine.analysis.comparison.place import Point
from vit_engine.analysis.methods import find_method
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace
from vit_engine.trace.targets import NORM, NormTarget, PatchTarget, Target, check_target, find_target

POINT = "point:"  # what the name of a target that is a point of the picture begins with: "point:0.25,0.5"


def check_pane_target(pane: Pane, spec: ModelSpec, grid: TokenGrid) -> None:
    """SpecError for what pane_target() would refuse of a target that is named, before anything is run."""
    if pane.target.startswith(POINT):
        _point(pane.target)
    elif pane.target:
        check_target(pane.target, spec, grid)


def pane_target_is_norm(pane: Pane, spec: ModelSpec) -> bool:
    """Whether pane_target() is the norm of the image embedding, by name or where there is no classifier."""
    named = pane.target == NORM or not (pane.target or spec.class_names)
    return named and TARGET in find_method(pane.method).depends_on


def pane_target(pane: Pane, trace: AttentionTrace, frame: tuple[int, int]) -> Target | None:
    """What the pane's map is evidence of; None where its method depends on no target.

    Without a name it is the likeliest class, or the norm of the image embedding where the model has no classifier. A
    point is the patch that it falls in. frame: the picture (height, width) in pixels, before the crop. SpecError for
    a target that this model does not have, and for a name that several classes have.
    """
    if TARGET not in find_method(pane.method).depends_on:
        return None
    spec, predictions = trace.spec, trace.predictions
    if not pane.target:
        return find_target(predictions[0].number, spec) if predictions else NormTarget()
    if not pane.target.startswith(POINT):
        return find_target(pane.target, spec)
    query = place.query_patch(_point(pane.target), None, trace.grid, frame)
    return find_target(PatchTarget(int(query[0]), int(query[1])), spec)


def _point(target: str) -> Point:
    point = place.parse(target.removeprefix(POINT))
    if isinstance(point, str) or len(point) != 2 or not all(0 <= part <= 1 for part in point):
        raise SpecError(f"a point as a target is '{POINT}Y,X', two fractions 0..1 of height and width; got {target!r}.")
    return point[0], point[1]
