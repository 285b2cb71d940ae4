"""Which head to look at, and why: a part of the page Heads."""

from operator import attrgetter

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.heads import figures
from dashboard.heads.asked import Asked
from dashboard.heads.state import RANKINGS, HeadsView
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services import heads
from dashboard.services.analyses import Analysis, Request
from dashboard.shell import controls, method_control, opening, sidebar, target_control
from vit_engine import find_method
from vit_engine.analysis.rankings import RankedHead, Ranking
from vit_engine.report.colours import upper_limit

COUNT = 5  # heads that a ranking names
_NONE = {
    "focused": "A picture of one patch has nothing to focus on.",
    "local": "There are no distances in this analysis.",
    "global": "There are no distances in this analysis.",
    "unlike": "Every layer of this model has one head alone.",
    "redundant": "No two heads are that near to each other.",
}


def show(request: Request, analysis: Analysis, selection: Selection, view: HeadsView, asked: Asked | None) -> None:
    """The chosen ranking: of each head a small map, the reason, and a button that opens it in Explore.

    asked: None where the method cannot be asked, and there is nothing to rank.
    """
    st.markdown("**Which head should I look at?**")
    method_control.show(per_head=True)
    if (other := method_control.set_aside()) is not None:
        with st.container(key="method_set_aside"):
            st.caption(f":material/info: {method_control.instead(other)}")
    if "target" in find_method(selection.method).depends_on:
        target_control.show(analysis, request.picture, selection)
    titles = {name: name.capitalize() for name in RANKINGS}
    controls.segments("Ranking", titles, key=keys.HEADS_RANKING, collapsed=True, wrap=True)
    if asked is None:
        return
    rankings = heads.rankings(
        analysis,
        asked.query,
        method=asked.method.name,
        gradients=asked.gradients,
        count=COUNT,
        redundant_bits=view.redundant,
    )
    chosen = next(ranking for ranking in rankings if ranking.name == view.ranking)
    of_query = "" if chosen.name in ("local", "global") else f" {asked.words}"
    st.caption(f"{chosen.meaning}{of_query}")
    if not chosen.entries:
        st.info(_NONE[chosen.name], icon=":material/filter_list_off:")
    run = analysis.run(asked.method, gradients=asked.gradients)
    for place, entry in enumerate(chosen.entries):
        small = asked.method.attribute(run, layer=entry.layer, head=entry.head, query=asked.query).map.values
        _entry(place, entry, analysis.pixels, small, selection)
    name = f"rankings-{analysis.trace.spec.name}"
    controls.csv_button(_table(rankings), name, key=keys.DOWNLOAD_RANKINGS, help="All five rankings.", later=True)


def _entry(place: int, entry: RankedHead, pixels: np.ndarray, values: np.ndarray, selection: Selection) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"ranked_{place}"):
        limit, opacity = upper_limit(values, selection.clip), selection.opacity / 100
        small = figures.thumbnail(pixels, values, limit=limit, colours=sidebar.colours(), opacity=opacity)
        st.image(small, width=84, alt=f"Attention of layer {entry.layer}, head {entry.head}")
        with st.container(gap=None):
            st.button(
                f"Layer {entry.layer} · head {entry.head}",
                key=f"{keys.RANKED_HEAD}_{place}",
                on_click=widgets.take,
                args=(opening.choose, entry.layer, entry.head),
                type="tertiary",
                icon=":material/open_in_new:",
                help="Open in Explore",
            )
            st.markdown(f":small[{entry.reason}]")


def _table(rankings: tuple[Ranking, ...]) -> pd.DataFrame:
    """One row an entry of any ranking."""
    fields = ["layer", "head", "value", "unit", "reason"]
    rows = [
        (ranking.name, place, *attrgetter(*fields)(entry), " ".join(f"{layer}:{head}" for layer, head in entry.group))
        for ranking in rankings
        for place, entry in enumerate(ranking.entries)
    ]
    return pd.DataFrame(rows, columns=["ranking", "place", *fields, "group"])
