"""The sidebar's choice of a picture: samples, upload, camera."""

import base64
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import keys
from dashboard.links import widgets
from dashboard.links.pictures import UPLOAD_PREFIX
from dashboard.links.selection import DEFAULT
from dashboard.samples import SAMPLES
from dashboard.services import limits, pictures
from dashboard.services.pictures import Picture
from dashboard.shell.controls import reset_button, segments
from dashboard.shell.formatting import capitalised, plain, progress_bar
from vit_engine import ImageError

UPLOAD_TYPES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff")
_SOURCE_TITLES = {"samples": "Samples", "upload": "Upload", "camera": "Camera"}
SAMPLE_TITLES = {sample.name: sample.title for sample in SAMPLES}
_TAKEN = "_taken_"  # session state, by PictureKeys: (file id, what was wrong with it or None) of the last uploaded file
# Session state, by PictureKeys: sha256 of the upload that was removed last: a bad one in its place brings it back.
_REMOVED = "_removed_"
_NAMES = "_names"  # session state: sha256 -> file name, of this session's own uploads


@dataclass(frozen=True)
class PictureKeys:
    """The keys of the controls of one picture."""

    source: str
    sample: str
    upload: str
    uploaded: str  # of the sha256 of the upload in use; no widget
    remove: str

    def opened(self, name: str) -> dict[str, object]:
        """What a link that names this picture, which is there, sets, by the keys of the session state."""
        if name.startswith(UPLOAD_PREFIX):
            return {self.uploaded: name.removeprefix(UPLOAD_PREFIX), self.source: "upload"}
        return {self.sample: name, self.source: "samples"}


FIRST = PictureKeys(keys.SOURCE, keys.SAMPLE, keys.UPLOAD, keys.UPLOADED, keys.REMOVE_UPLOAD)


def show() -> Picture:
    """The controls; returns the picture in use: the uploaded one, or else a sample."""
    widgets.default(keys.SOURCE, "samples")
    widgets.default(keys.SAMPLE, DEFAULT.picture)
    source = segments("Picture", _SOURCE_TITLES, key=keys.SOURCE, width="stretch")
    uploaded = None
    if source == "samples":
        _samples()
    else:
        uploaded = take(_photograph() if source == "camera" else file_control(FIRST), FIRST)
    return uploaded or pictures.sample_picture(st.session_state.get(keys.SAMPLE) or DEFAULT.picture)


def others(picture: Picture) -> dict[str, str]:
    """Other pictures that there are: by what links call them, their titles. The session's own uploads come first."""
    held = {UPLOAD_PREFIX + sha256: name for sha256, name in st.session_state.get(_NAMES, {}).items()}
    return {name: title for name, title in (held | SAMPLE_TITLES).items() if name != picture.name}


def file_control(of: PictureKeys) -> UploadedFile | None:
    """What takes a picture file, for take()."""
    return st.file_uploader(
        "Picture file", UPLOAD_TYPES, max_upload_size=limits.PICTURE_MEGABYTES, **_options(of.upload, of)
    )


def _photograph() -> UploadedFile | None:
    return st.camera_input("Photograph", **_options(keys.CAMERA, FIRST))


def _options(key: str, of: PictureKeys) -> dict[str, Any]:
    return {"key": key, "on_change": _forget_removed, "args": (key, of), "label_visibility": "collapsed"}


def _samples() -> None:
    rules = []
    for number, sample in enumerate(SAMPLES, start=1):
        data = base64.b64encode(pictures.thumbnail(sample.name)).decode()
        button = f".st-key-{keys.SAMPLE} button:nth-of-type({number})"
        rules.append(f"{button} {{ background-image: url(data:image/jpeg;base64,{data}); }}")
    st.html(f"<style>{''.join(rules)}</style>")
    st.pills(
        "Samples",
        list(SAMPLE_TITLES),
        key=keys.SAMPLE,
        required=True,
        label_visibility="collapsed",
        format_func=SAMPLE_TITLES.__getitem__,
        persist_state="session",
    )


def _forget_removed(key: str, of: PictureKeys) -> None:
    """A file that its owner removed is no longer the picture in use; one that is replaced is removed first."""
    if st.session_state[key] is None:
        st.session_state[_REMOVED + of.uploaded] = st.session_state.get(of.uploaded)
        st.session_state[of.uploaded] = None


def take(file: UploadedFile | None, of: PictureKeys) -> Picture | None:
    """The uploaded picture in use, after a new file has become it; a bad file shows its error and changes nothing."""
    picture = _in_use(of)
    if file is None:
        _offer_removal(picture, of)
        return picture
    taken, problem = st.session_state.get(_TAKEN + of.uploaded, ("", None))
    pushed_out = problem is None and picture is None and st.session_state.get(of.uploaded) is not None
    if taken != file.file_id or pushed_out:
        picture, problem = _keep(file, of)
        st.session_state[_TAKEN + of.uploaded] = (file.file_id, problem)
    if problem is not None:
        st.error(capitalised(problem), icon=":material/broken_image:")
    return picture


def _in_use(of: PictureKeys) -> Picture | None:
    """The picture is called by its file's name, but only in the session that it is from."""
    uploaded = st.session_state.get(of.uploaded)
    picture = pictures.find_upload(uploaded) if uploaded else None
    name = st.session_state.get(_NAMES, {}).get(uploaded)
    return replace(picture, title=name) if picture and name else picture


def _keep(file: UploadedFile, of: PictureKeys) -> tuple[Picture | None, str | None]:
    """Hand a file to the server and choose it; what is wrong with it instead, if anything is."""
    state = st.session_state
    try:
        with progress_bar() as progress:
            picture = pictures.keep_upload(file.getvalue(), progress)
    except ImageError as error:
        state[of.uploaded] = state.get(of.uploaded) or state.get(_REMOVED + of.uploaded)
        return _in_use(of), str(error)
    state[of.uploaded] = picture.sha256
    state.setdefault(_NAMES, {})[picture.sha256] = file.name
    return replace(picture, title=file.name or picture.title), None


def _offer_removal(picture: Picture | None, of: PictureKeys) -> None:
    """An upload that came by a link, or before the page was changed, has no cross of its own."""
    if picture is not None:
        st.caption(f"Showing {plain(picture.title)}.")
        reset_button("Remove", of.uploaded, key=of.remove, icon="close")
