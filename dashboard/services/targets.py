"""Targets as links write them, and what they are of one picture in one model.

How links write them is in dashboard.links.targets.
"""

import vit_engine as ve
from dashboard.links.targets import AUTOMATIC, MIDDLE, PICTURE, POINT, TEXT, is_untrained
from dashboard.services.analyses import Analysis
from dashboard.services.checkpoints import user_models
from dashboard.services.checkpoints.paths import errors_naming, errors_without_paths
from dashboard.services.pictures import find_picture
from vit_engine.trace.targets import NORM
from vit_engine.weights.text import read


def name_of(text: str, analysis: Analysis) -> str:
    """What a target is called that a link writes so, the same for all links that mean the same, as find() takes it."""
    if text == AUTOMATIC:
        if predictions := analysis.trace.predictions:
            return str(predictions[0].number)
        if not is_untrained(analysis.trace.spec):
            return NORM
        text = MIDDLE
    if not text.startswith(POINT):
        return text
    y, x = (float(part) for part in text.removeprefix(POINT).split(","))
    row, col = analysis.trace.grid.patch_at(round(y * analysis.frame[0], 1), round(x * analysis.frame[1], 1))
    return f"patch:{row},{col}"


def why_no_text(report: ve.LoadReport) -> str:
    """Why no text can be a target of a model that was loaded so; empty where one may. Reads nothing."""
    return read.why_no_text(report)


def why_no_text_by_name(name: str) -> str:
    """The same of a model that need not be loaded yet: by what was read of its file, or that it is known by name."""
    added = user_models.find(name)
    return read.NO_TEXT_BY_NAME if added is None else added.no_text


def find(name: str, loaded: ve.LoadedModel, size: int) -> ve.Target:
    """The target of this name, for a job: another picture is run through the model, at this short side, a text read.

    SpecError for one that this model cannot have, ImageError for a picture that is no longer held, CheckpointError
    where the text tower cannot be read.
    """
    if name.startswith(TEXT):
        return _similar_to_text(name.removeprefix(TEXT), loaded)
    if not name.startswith(PICTURE):
        return ve.find_target(name, loaded.spec)
    picture = find_picture(name.removeprefix(PICTURE))
    if picture is None:
        raise ve.ImageError(f"the picture of the target {name!r} is no longer held here: upload it again.")
    return ve.picture_target(loaded, picture.open(), size=size, name=picture.name)


def _similar_to_text(words: str, loaded: ve.LoadedModel) -> ve.Target:
    """The text tower is read from where the model was."""
    name = loaded.spec.name
    added = user_models.find(name)
    if added is None:
        with errors_without_paths():
            return ve.text_target(loaded, words)
    with user_models.opened(name, added.display_name) as path, errors_naming(path, added.spec.title):
        return ve.text_target(loaded, words)
