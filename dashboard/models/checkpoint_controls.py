"""The user's own checkpoints, a part of the page Models: from the server's folder, or uploaded."""

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import keys
from dashboard.models import checkpoint_card, hub_controls
from dashboard.services import limits
from dashboard.services.checkpoints import folder, hub, series, user_models
from dashboard.shell.controls import segments, selectbox
from dashboard.shell.formatting import plain, progress_bar, sentence
from vit_engine import CheckpointError
from vit_engine.analysis.comparison import FILE_PREFIX
from vit_engine.resources.budget import format_bytes
from vit_engine.weights.reading.folder import SUFFIXES

UPLOAD_MEGABYTES = 2048
_TAKEN = "_checkpoint_taken"  # session state: (file id, its name here or "", what was wrong with it or "")
_SOURCE_TITLES = {"folder": "From the server's folder", "upload": "Upload", "hub": "Hugging Face"}
_NO_FOLDER = """No folder is configured. Whoever runs this server can offer one: set the environment variable
`VIT_ENGINE_CHECKPOINTS` to a folder of weight files and start it again. Until then, upload a file."""


def show() -> None:
    """Choose a checkpoint, of one's own or on the Hugging Face hub; see what it is; make it a model."""
    st.markdown(f"##### Your own checkpoints{', and models on Hugging Face' if hub.is_on() else ''}")
    st.caption(
        "Weights of Vision Transformers: DINO, DINOv2, DINOv3, torchvision, timm, Hugging Face, MAE, DeiT, CLIP, ONNX. "
        "Every tensor is accounted for, or the file is refused with the reason. What you add can be chosen by "
        "everybody on this server."
    )
    try:
        listing, problem = folder.list_checkpoints(), ""
    except CheckpointError as error:
        listing, problem = folder.Listing(()), str(error)
    st.session_state.setdefault(keys.CHECKPOINT_SOURCE, "folder" if listing.names else "upload")
    titles = {source: title for source, title in _SOURCE_TITLES.items() if source != "hub" or hub.is_on()}
    if st.session_state[keys.CHECKPOINT_SOURCE] not in titles:
        st.session_state[keys.CHECKPOINT_SOURCE] = "upload"
    source = segments("Where it is", titles, key=keys.CHECKPOINT_SOURCE, collapsed=True)
    if source == "hub":
        hub_controls.show()
        return
    name = _from_folder(listing, problem) if source == "folder" else _from_upload()
    if name is not None:
        checkpoint_card.show(name, listing.names)


def _from_folder(listing: folder.Listing, problem: str) -> str | None:
    """The name of a checkpoint that was picked; None where none was, or there is none. problem: of the folder."""
    if problem:
        st.error(sentence(problem), icon=":material/folder_off:")
    elif not listing.folder:
        st.info(_NO_FOLDER, icon=":material/folder_off:")
    elif not listing.names:
        endings = ", ".join(SUFFIXES)
        st.info(
            f"The folder {plain(listing.folder)} has no weight files yet: names that end in {endings}, or folders with "
            "a config.json and weights.",
            icon=":material/folder_open:",
        )
    picked = _pick(listing) if listing.names else None
    if listing.cut:
        st.caption("There are more than are listed. A link opens those too: add ?model=file:NAME to the address.")
    if listing.left_out:
        st.caption("Left out: " + ", ".join(f"{count:,} × {why}" for why, count in listing.left_out) + ".")
    return None if picked is None else FILE_PREFIX + picked


def _pick(listing: folder.Listing) -> str | None:
    if st.session_state.get(keys.CHECKPOINT_FILE) not in listing.names:
        st.session_state[keys.CHECKPOINT_FILE] = None
    return selectbox(
        "Checkpoint",
        listing.names,
        key=keys.CHECKPOINT_FILE,
        index=None,
        placeholder=_found(listing),
        label_visibility="collapsed",
    )


def _found(listing: folder.Listing) -> str:
    count = f"{'the first ' if listing.cut else ''}{len(listing.names):,} checkpoint{'s'[: len(listing.names) > 1]}"
    runs = len(series.find_series(listing.names))
    return f"Choose one of {count}" + (f", {runs} training run{'s'[: runs > 1]} among them" if runs else "")


def _from_upload() -> str | None:
    """The name of an uploaded file, kept by the server; None where there is none, or it is refused."""
    file = st.file_uploader(
        "Checkpoint file",
        [suffix[1:] for suffix in SUFFIXES],
        key=keys.CHECKPOINT_UPLOAD,
        max_upload_size=UPLOAD_MEGABYTES,
        label_visibility="collapsed",
        on_change=_forget_removed,
    )
    taken, name, problem = st.session_state.get(_TAKEN, ("", "", ""))
    if file is not None and taken != file.file_id:
        name, problem = _keep(file)
        st.session_state[_TAKEN] = (file.file_id, name, problem)
    if problem:
        st.error(sentence(problem), icon=":material/broken_image:")
    elif name and file is not None and user_models.held_as(name) not in {"", file.name}:
        st.caption(f"The same bytes are here already, as {plain(user_models.held_as(name))}: it is the same model.")
    elif not name:
        kept = format_bytes(limits.CHECKPOINT_BYTES)
        st.caption(
            f"Up to {UPLOAD_MEGABYTES / 1024:.0f} GB. It goes to a private folder of this server, which keeps {kept} "
            "of them, the last used, until it ends. A model folder of Hugging Face has to be in the server's folder."
        )
    return name or None


def _forget_removed() -> None:
    if st.session_state[keys.CHECKPOINT_UPLOAD] is None:
        st.session_state.pop(_TAKEN, None)


def _keep(file: UploadedFile) -> tuple[str, str]:
    """Hand a file to the server; its name there, or what is wrong with it."""
    try:
        with progress_bar() as progress:
            return user_models.keep_checkpoint(file, title=file.name, size=file.size, progress=progress), ""
    except CheckpointError as error:
        return "", str(error)
