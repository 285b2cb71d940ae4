"""The dashboard's entry: `streamlit run dashboard/app.py`."""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "dashboard" / "assets"
if str(ROOT) not in sys.path:  # Streamlit puts this file's folder there, not the project's
    sys.path.insert(0, str(ROOT))

from dashboard.links import widgets  # noqa: E402
from dashboard.shell import controls, sidebar  # noqa: E402

st.set_page_config(page_title="ViT attention", page_icon=str(ASSETS / "icon.png"), layout="wide")
st.html(ASSETS / "style.css")
page = st.navigation(
    [
        st.Page("views/explore.py", title="Explore", icon=":material/blur_on:", default=True),
        st.Page("views/tokens.py", title="Tokens", icon=":material/palette:"),
        st.Page("views/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("views/heads.py", title="Heads", icon=":material/grid_view:"),
        st.Page("views/models.py", title="Models", icon=":material/deployed_code:"),
        st.Page("views/guide.py", title="Guide", icon=":material/menu_book:"),
    ]
)
widgets.begin(page.url_path)
sidebar.sidebar(panes=page.url_path == "compare", tokens=page.url_path == "tokens")
page.run()
controls.forget_presses()
