"""Targets as links write them, and what they are of one picture in one model.

How links write them is in dashboard.links.targets.
"""

import vit_engine as ve
from dashboard.links.targets import AUTOMATIC, PICTURE, POINT
from dashboard.services.analyses import Analysis
from dashboard.services.pictures import find_picture
from vit_engine.trace.targets import NORM


def name_of(text: str, analysis: Analysis) -> str:
    """What a target is called that a link writes so, the same for all links that mean the same, as find() takes it."""
    if text == AUTOMATIC:
        predictions = analysis.trace.predictions
        return str(predictions[0].number) if predictions else NORM
    if not text.startswith(POINT):
        return text
    y, x = (float(part) for part in text.removeprefix(POINT).split(","))
    row, col = analysis.trace.grid.patch_at(round(y * analysis.frame[0], 1), round(x * analysis.frame[1], 1))
    return f"patch:{row},{col}"


def find(name: str, loaded: ve.LoadedModel, size: int) -> ve.Target:
    """The target of this name, for a job: another picture is run through the model, at this short side.

    SpecError for one that this model cannot have, ImageError for a picture that is no longer held.
    """
    if not name.startswith(PICTURE):
        return ve.find_target(name, loaded.spec)
    picture = find_picture(name.removeprefix(PICTURE))
    if picture is None:
        raise ve.ImageError(f"the picture of the target {name!r} is no longer held here: upload it again.")
    return ve.picture_target(loaded, picture.open(), size=size, name=picture.name)
