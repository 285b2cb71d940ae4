"""The export of Compare: everything on the page in one zip."""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.compare.state import Comparing
from dashboard.links import address
from dashboard.links.zoom import zoom_in_pixels
from dashboard.services.pictures import Picture
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.archive import as_zip
from vit_engine.report.bundle import files
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style

HELP = (
    "A zip: the figure as shown (PNG, PDF, SVG), an interactive page that works offline, the tables, the maps as "
    "arrays, and run.json, from which `python -m vit_engine reproduce` recomputes the numbers."
)


def button(
    comparison: Comparison,
    style: Style,
    drawn: tuple[Panel, ...],
    *,
    choice: Comparing,
    picture: Picture,
    size: int,
    faithfulness: pd.DataFrame | None,
) -> None:
    """Makes the zip once it is clicked. faithfulness: of the panes, where it was measured."""
    view: dict[str, Any] = {"size": size, "zoom": zoom_in_pixels(choice.zoom, comparison.frame), "drawn": drawn}
    view["faithfulness"] = faithfulness
    heads: dict[str, Any] = {"statistic": choice.statistic, "all_layers": choice.rows == "all"}
    export = partial(_zip, comparison, style, picture, link=address.whole(), **view, **heads)
    options: dict[str, Any] = {"key": keys.DOWNLOAD_BUNDLE, "icon": ":material/archive:", "on_click": "ignore"}
    st.download_button("Export", export, "comparison.zip", "application/zip", help=HELP, **options)


def _zip(comparison: Comparison, style: Style, picture: Picture, **asked: Any) -> bytes:
    return as_zip(files(comparison, style, picture=picture.open(), **asked))
