"""Models of the Hugging Face hub, a part of the page Models: a name, what it is, its download, and then its card."""

import streamlit as st

from dashboard import keys
from dashboard.models import checkpoint_card, model_facts
from dashboard.services import downloads
from dashboard.services.checkpoints import hub
from dashboard.shell import download_panel
from dashboard.shell.formatting import plain, progress_bar, sentence
from vit_engine import VitEngineError
from vit_engine.resources.budget import format_bytes
from vit_engine.weights.fetching.hub import HUB_PREFIX, HubModel

_LOOKED_UP = "_hub_looked_up"  # session state: (text, what it is or None, why it cannot be had or "")
_WANTED = "_hub_wanted"  # session state: the source of the model whose download was asked for here
# What a config.json may say, and what to call it.
_CONFIG = (
    ("Patch", "patch_size", "{:,} px"),
    ("Dimensions", "hidden_size", "{:,}"),
    ("Layers", "num_hidden_layers", "{:,}"),
    ("Heads", "num_attention_heads", "{:,}"),
)


def show() -> None:
    """Ask for a name; tell what it is; download it if that is wanted; make it a model."""
    st.text_input(
        "Hugging Face model",
        key=keys.HUB_MODEL,
        placeholder="facebook/dinov2-with-registers-small",
        icon=":material/cloud:",
        help="ORG/NAME, ORG/NAME@REVISION, or the address of its page. Its weights are read as safetensors where there "
        "are any. Everybody on this server can load what this server's token may read.",
        persist_state="session",
    )
    text = (st.session_state[keys.HUB_MODEL] or "").strip()
    model = _look_up(text) if text else None
    if model is None:
        return
    name = model.pinned
    if hub.is_here(model.source.removeprefix(HUB_PREFIX)):
        checkpoint_card.show(name, add=st.session_state.pop(_WANTED, "") == model.source)
    else:
        _offer(model)


def _look_up(text: str) -> HubModel | None:
    """What a model is, asked of the hub once; None, with the reason shown, where it cannot be had."""
    before, model, problem = st.session_state.get(_LOOKED_UP, ("", None, ""))
    if before != text:
        model, problem = _ask(text)
        st.session_state[_LOOKED_UP] = (text, model, problem)
    if problem:
        st.error(problem, icon=":material/cloud_off:")
        st.button("Look up again", key=keys.LOOK_UP_AGAIN, on_click=_forget, icon=":material/refresh:")
    return model


def _ask(text: str) -> tuple[HubModel | None, str]:
    """Or why not, as Markdown; addresses of the hub can be followed, and nothing that is in a link."""
    try:
        name = hub.parse_hub_text(text)
    except VitEngineError as error:
        return None, sentence(str(error), [text])
    try:
        with progress_bar() as progress:
            return hub.look_up(name, progress), ""
    except VitEngineError as error:
        return None, sentence(str(error), [name.repo], links=True)


def _forget() -> None:
    st.session_state.pop(_LOOKED_UP, None)


def _offer(model: HubModel) -> None:
    """What it is and what it costs, and the button that downloads it, or the download under way."""
    download = downloads.find_download(model.source)  # before its failure: one that fails meanwhile is under way here
    failure = downloads.download_failure(model.source)
    with st.container(border=True, key="hub_card"):
        badge = f" :blue-badge[{plain(model.kind)}]" if model.kind else ""
        gated = " :orange-badge[:material/lock: gated]" if model.gated else ""
        st.markdown(f"##### {plain(model.name.repo)}{badge}{gated}")
        if download is not None:
            download_panel.progress(model.source, cancel=keys.CANCEL_HUB_DOWNLOAD)
        else:
            if failure:
                st.error(sentence(failure, [model.name.repo], links=True), icon=":material/cloud_off:")
            st.button(
                f"{'Try again' if failure else 'Download'} · {format_bytes(model.size)}",
                key=keys.DOWNLOAD_HUB_MODEL,
                on_click=_download,
                args=(model,),
                type="primary",
                icon=":material/download:",
                help="In the background, once for everybody who uses this server: leave this page as you like.",
            )
        model_facts.show(_facts(model))


def _download(model: HubModel) -> None:
    st.session_state[_WANTED] = model.source
    downloads.start_hub_download(model)


def _facts(model: HubModel) -> list[tuple[str, str]]:
    said = ((title, model.config.get(key), words) for title, key, words in _CONFIG)
    return [
        *((title, words.format(value)) for title, value, words in said if type(value) is int),
        ("Licence", model.licence),
        ("Access", "gated: its owner has granted it to this server's token" if model.gated else ""),
        ("Weights", f"{model.main}, {format_bytes(model.size)} with its configuration"),
        ("Commit", model.commit),
    ]
