"""What the target of a pane is in its model."""

from vit_engine.analysis.comparison import place
from vit_engine.analysis.comparison.choices import TARGET
from vit_engine.analysis.comparison.pane import Pane
from vit_engine.analysis.methods import find_method
from vit_engine.errors import SpecError
from vit_engine.trace import AttentionTrace
from vit_engine.trace.targets import NormTarget, PatchTarget, Target, find_target

POINT = "point:"  # what the name of a target that is a point of the picture begins with: "point:0.25,0.5"


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
    point = place.parse(pane.target.removeprefix(POINT))
    if isinstance(point, str) or len(point) != 2 or not all(0 <= part <= 1 for part in point):
        raise SpecError(
            f"a point as a target is '{POINT}Y,X', two fractions 0..1 of height and width; got {pane.target!r}."
        )
    query = place.query_patch((point[0], point[1]), None, trace.grid, frame)
    return find_target(PatchTarget(int(query[0]), int(query[1])), spec)
