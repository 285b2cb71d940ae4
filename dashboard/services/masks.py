"""The object that a map is to find, on the pixels of one analysis: a dragged box, an uploaded mask, a scene's own."""

from functools import lru_cache

import numpy as np

import vit_engine as ve
from dashboard.links.pictures import UPLOAD_PREFIX
from dashboard.links.worth import SCENE, Box
from dashboard.samples import find_sample
from dashboard.services.analyses import Analysis, Request
from dashboard.services.pictures import find_mask
from vit_engine.analysis.worth.masks import mask_coverage, prepare_mask
from vit_engine.demo.scenes import draw_scene


def object_mask(chosen: Box | str, request: Request, analysis: Analysis) -> np.ndarray | Box:
    """As pointing() takes it: bool (height, width) of the prepared picture, or a box of fractions of it.

    chosen: as dashboard.links.worth has it. ImageError for a mask of another size and for one that is no longer held,
    SpecError for a box beside the patches, for the objects of a picture that was not generated, and for what covers
    nothing or the whole picture.
    """
    mask = _object_mask(chosen, request, analysis)
    mask_coverage(mask, analysis.trace.grid)  # raises
    return mask


def _object_mask(chosen: Box | str, request: Request, analysis: Analysis) -> np.ndarray | Box:
    if not isinstance(chosen, str):
        return _on_patches(chosen, analysis)
    if chosen == SCENE:
        return ve.fit_mask(_scene_objects(request.picture.sample), request.spec, size=request.size)
    mask = find_mask(chosen.removeprefix(UPLOAD_PREFIX))
    if mask is None:
        raise ve.ImageError("the mask is no longer held here: upload it again.")
    return prepare_mask(mask.pixels, request.picture.shape, request.spec, size=request.size)


def _on_patches(box: Box, analysis: Analysis) -> Box:
    """In fractions of the patches: of the scaled picture a strip may be cut off at the right and below."""
    (height, width), grid = analysis.frame, analysis.trace.grid
    down, across = height / grid.height, width / grid.width
    top, left, bottom, right = box[0] * down, box[1] * across, min(box[2] * down, 1.0), min(box[3] * across, 1.0)
    if top >= bottom or left >= right:
        raise ve.SpecError("the box lies on the strip that is cut off beside the last patches. Drag another one.")
    return top, left, bottom, right


@lru_cache(maxsize=8)
def _scene_objects(name: str) -> np.ndarray:
    sample = find_sample(name)
    if sample is None or sample.scene is None:
        raise ve.SpecError("only generated scenes come with a mask of their objects. Drag a box or upload a mask.")
    seed, height, width = sample.scene
    return draw_scene(seed, (height, width)).objects
