"""A model whose weights are not on this server: the offer to download them, and the download under way."""

import streamlit as st

from dashboard import keys
from dashboard.services import downloads
from dashboard.services.catalogue import Model
from dashboard.shell.formatting import plain, sentence
from vit_engine.resources.budget import format_bytes

_REFRESH = 0.5  # seconds between two looks at a download


def show(model: Model) -> None:
    """In the place of what needs the model: what it costs, and a button. Nothing is downloaded before it is pressed."""
    if model.download is not None:
        progress(model.spec.name)
        return
    if model.failure:
        st.error(sentence(model.failure, links=True), icon=":material/cloud_off:")
    else:
        licence = f" Licence: {plain(model.spec.licence)}." if model.spec.licence else ""
        st.info(
            f"**{plain(model.spec.title)}** is not on this server yet. Its weights are a download of about "
            f"{plain(format_bytes(model.disk_bytes))}, once for everybody who uses this server.{licence}",
            icon=":material/download:",
        )
    button(model)


def button(model: Model) -> None:
    """Starts the download, or goes on with one that broke off."""
    label = "Try again" if model.failure else "Resume download" if model.part_bytes else "Download"
    st.button(
        label,
        key=keys.DOWNLOAD_MODEL,
        on_click=downloads.start_download,
        args=(model.spec,),
        type="primary",
        icon=":material/download:",
        help="In the background: leave this page as you like.",
    )


@st.fragment(run_every=_REFRESH)
def progress(name: str, *, cancel: str = keys.CANCEL_DOWNLOAD) -> None:
    """The download of a model; the whole page is drawn again once it has ended. cancel: the key of the button that
    stops it; empty for none.
    """
    download = downloads.find_download(name)
    if download is None:
        st.rerun(scope="app")
    st.progress(download.fraction, text=sentence(download.message))
    if cancel:
        st.button(
            "Cancel",
            key=cancel,
            on_click=downloads.cancel_download,
            args=(name,),
            icon=":material/close:",
            help="Where the source allows it, the next download goes on from what has come.",
        )
