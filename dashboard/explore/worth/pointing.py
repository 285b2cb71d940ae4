"""Whether the map finds an object that a person marks, and which head finds it best."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.explore.worth import texts
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.links.worth import SCENE, Box
from dashboard.services import limits, pictures
from dashboard.services.maps import MapRequest
from dashboard.services.pointing import rank
from dashboard.shell import analysis_panel
from dashboard.shell.controls import csv_button, for_finger, for_mouse, reset_button, segments
from dashboard.shell.formatting import capitalised, plain, progress_bar
from dashboard.shell.picture_controls import UPLOAD_TYPES
from vit_engine import AttentionMap, ImageError, SpecError, find_method, pointing

DRAGS = {"object": "the object", "query": "the query"}
_ALL = "All available"
_TAKEN = "_mask_taken"  # session state: (file id, what was wrong with it or None) of the last uploaded mask
_DRAG_HELP = "A drag of mouse or pen over the large map; a click still chooses the query."
_MASK_HELP = (
    "A picture of the object: of the size of the picture, or of what the model sees of it. What is black or "
    "transparent is ground, all else is the object."
)
_RANKED_HELP = (
    "The heads of the method that is shown, or of raw attention where it has no map of each head; or of all methods "
    "whose maps need no further run of the model."
)


def show(
    asked: MapRequest, map: AttentionMap, selection: Selection, mask: np.ndarray | Box | SpecError | ImageError | None
) -> None:
    """How an object is marked; how the map lies on it; and all heads in order. mask: or why there is none."""
    _controls(asked, selection)
    if selection.object is None:
        with for_mouse("object"):
            st.caption("Drag a box around an object on the large map, or upload its mask.")
        with for_finger("object"):
            st.caption("Upload the mask of an object: a box is drawn with a mouse or a pen.")
        st.space("xsmall")  # a caption ends without one
    elif isinstance(mask, SpecError | ImageError):
        st.error(analysis_panel.reason(mask, asked.spec.name), icon=":material/error:")
    elif mask is not None:
        _results(asked, map, selection, mask)


def _controls(asked: MapRequest, selection: Selection) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="pointing_controls"):
        if "query" in asked.method.depends_on:
            with for_mouse("marks"):
                segments("A drag marks", DRAGS, key=keys.DRAG_MARKS, default="object", help=_DRAG_HELP)
        with st.popover("Mask file", icon=":material/upload:", key=keys.MASK_FILE):
            _upload()
        if asked.request.picture.scene and selection.object != SCENE:
            st.button(
                "The scene's own objects",
                key=keys.SCENE_MASK,
                on_click=widgets.take,
                args=(dict, {keys.OBJECT: SCENE}),
                icon=":material/category:",
                type="tertiary",
            )
        if selection.object is not None:
            reset_button("Remove", keys.OBJECT, key=keys.REMOVE_OBJECT, icon="close")


def _upload() -> None:
    """Takes a mask file: a good one becomes the object, and the page is drawn again; a bad one says why it is none."""
    file = st.file_uploader(
        "Mask file", UPLOAD_TYPES, max_upload_size=limits.PICTURE_MEGABYTES, key=keys.MASK_UPLOAD, help=_MASK_HELP
    )
    if file is None:
        return
    taken, problem = st.session_state.get(_TAKEN, ("", None))
    if taken != file.file_id:
        try:
            with progress_bar() as progress:
                name = pictures.keep_mask(file.getvalue(), progress).name
        except ImageError as error:
            problem = str(error)
        else:
            st.session_state[_TAKEN] = (file.file_id, None)
            widgets.give(keys.OBJECT, name)
            widgets.again()
        st.session_state[_TAKEN] = (file.file_id, problem)
    if problem is not None:
        st.error(plain(capitalised(problem)), icon=":material/broken_image:")


def _results(asked: MapRequest, map: AttentionMap, selection: Selection, mask: np.ndarray | Box) -> None:
    assert selection.object is not None
    if (map.values > 0).any():
        result = pointing(map, mask)
        st.markdown(texts.pointing_line(result, texts.object_name(selection.object), signed=asked.method.signed))
    else:
        st.info("No value of this map is above 0: it points nowhere.", icon=":material/visibility_off:")
    heading = st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    with heading:
        title = st.container(width="content")
        with st.container(horizontal=True, width="content"):
            titles = {"shown": texts.ranked_title(asked.method), "all": _ALL}
            with widgets.holding(keys.RANKED_METHODS, selection.ranked, asked.method.per_head):
                segments("Methods", titles, key=keys.RANKED_METHODS, collapsed=True, help=_RANKED_HELP)
            ranking = rank(asked, mask, name=selection.object, every=selection.ranked == "all")
            csv_button(ranking, f"pointing-{asked.spec.name}", key=keys.DOWNLOAD_POINTING, later=True)
    with title:
        st.markdown(texts.ranking_title([find_method(name).phrase for name in ranking["method"].unique()]))
    _table(ranking)


def _table(ranking: pd.DataFrame) -> None:
    several = ["method"] if ranking["method"].nunique() > 1 else []
    titles = [find_method(name).title for name in ranking["method"]]
    titled = ranking.assign(method=titles, share=100 * ranking["share"])  # in per cent
    st.dataframe(
        titled[[*several, "layer", "head", "share", "gain", "hit", "iou"]],
        key=keys.POINTING_RANKING,
        on_select=partial(widgets.take, _choose_row, ranking),
        selection_mode="single-cell",
        hide_index=True,
        height=320,
        placeholder="–",
        column_config={
            "method": st.column_config.TextColumn("Method"),
            "layer": st.column_config.NumberColumn("Layer", width=60),
            "head": st.column_config.NumberColumn("Head", width=60),
            "share": st.column_config.ProgressColumn(
                "Inside",
                width=120,
                help="Of the map's mass, what lies in the object.",
                format="%.1f %%",
                min_value=0.0,
                max_value=100.0,
            ),
            "gain": st.column_config.NumberColumn(
                "× even", help="That share in times of the object's part of the picture.", format="%.1f ×"
            ),
            "hit": st.column_config.CheckboxColumn("Hit", width=50, help="Whether the largest value lies inside."),
            "iou": st.column_config.NumberColumn(
                "Best IoU",
                help="Intersection over union of the object and the patches above a threshold, at the best one.",
                format="%.2f",
            ),
        },
    )


def _choose_row(ranking: pd.DataFrame) -> dict[str, object]:
    cells = st.session_state[keys.POINTING_RANKING]["selection"]["cells"]
    if not cells:
        return {}
    row = ranking.iloc[cells[0][0]]
    place = {keys.LAYER: row["layer"], keys.HEAD: row["head"]}
    known = {key: value for key, value in place.items() if not pd.isna(value)}
    chosen: dict[str, object] = {keys.METHOD: row["method"]}
    if keys.LAYER in known:
        chosen[keys.LAYER] = int(known[keys.LAYER])
    if keys.HEAD in known:
        chosen[keys.HEAD] = str(int(known[keys.HEAD]))
    return chosen
