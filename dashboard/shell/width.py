"""Whether the window is narrow: a figure of several pictures is laid out on the server, and cannot wrap by itself."""

import streamlit as st

from dashboard import keys

NARROW = 640  # pixels, at most: where Streamlit's own columns stand one below the other

_JS = """
export default function({ data, setStateValue }) {
  const narrow = matchMedia(`(max-width: ${data.most}px)`);
  const tell = () => { if (narrow.matches !== data.narrow) setStateValue('narrow', narrow.matches); };
  tell();
  narrow.addEventListener('change', tell);
  return () => narrow.removeEventListener('change', tell);
}
"""
_listener = st.components.v2.component("vit_engine.window", js=_JS)


def is_narrow() -> bool:
    """As the browser said last; call once on a page, before what takes long. Another word of it runs the page again."""
    narrow = bool(st.session_state.get(keys.WINDOW, {}).get("narrow"))
    _listener(
        key=keys.WINDOW,
        data={"most": NARROW, "narrow": narrow},
        default={"narrow": narrow},
        on_narrow_change=_take,
        height="content",
    )
    return narrow


def _take() -> None:
    """The run that follows reads what the browser said."""
