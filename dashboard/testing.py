"""For AppTest suites: open the app, read a drawn figure back into arrays, click into a chart.

    at = open_app(layer="3")
    drawn = decode_figure(at, keys.OVERLAY)["attention"]["z"]
    click_patch(at, row=4, col=7)
    at.button(key=keys.RESET_QUERY).click().run()

Elements are found by the keys of dashboard.keys, never by position.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services import process

APP = Path(__file__).with_name("app.py")
TIMEOUT = 120  # seconds for one run: the first one loads a model


def clear_caches() -> None:
    """Empty the server: no model loaded, no picture or checkpoint uploaded, nothing analysed."""
    process.forget_all()


def open_app(**link: str | Sequence[str]) -> AppTest:
    """The running app as opened by a link with these query parameters."""
    return _app(link).run()


def _app(link: Mapping[str, str | Sequence[str]]) -> AppTest:
    """The app before its first run."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for name, value in link.items():
        at.query_params[name] = value if isinstance(value, str) else list(value)
    return at


def decode_figure(at: AppTest, key: str) -> dict[str, dict[str, Any]]:
    """The traces of a drawn chart by name, every encoded array as a NumPy array, and "layout"; or KeyError."""
    figure = _decode(json.loads(at.get_by_key(key).proto.spec))
    return {**{trace["name"]: trace for trace in figure["data"]}, "layout": figure["layout"]}


def click(at: AppTest, chart: str, *, x: float, y: float) -> AppTest:
    """Click a point of the chart of a key, in units of its axes, and run."""
    return telling(at, chart, "point", {"x": x, "y": y})()


def click_patch(at: AppTest, *, row: int, col: int) -> AppTest:
    """Click a patch of the large map, making it the query, and run."""
    return click(at, keys.OVERLAY, x=col, y=row)


def click_head(at: AppTest, *, head: int) -> AppTest:
    """Click a head in the grid of the layer's heads, and run."""
    row, col = divmod(head, decode_figure(at, keys.HEAD_GRID)["cells"]["z"].shape[1])
    return _click_cell(at, keys.HEAD_GRID, row, col)


def click_layer_and_head(at: AppTest, *, layer: int, head: int) -> AppTest:
    """Click a cell of the layers × heads mosaic, by the index of its layer among those drawn, and run."""
    return _click_cell(at, keys.MOSAIC, layer, head)


def _click_cell(at: AppTest, chart: str, row: int, col: int) -> AppTest:
    """The middle of a cell in a mosaic."""
    cells = decode_figure(at, chart)["cells"]
    return click(at, chart, x=cells["x0"] + col * cells["dx"], y=cells["y0"] + row * cells["dy"])


def choose_row(at: AppTest, *, row: int | None) -> AppTest:
    """Click a cell in a row of the statistics table, by its place before sorting, or click it away, and run."""
    return _select(at, keys.HEAD_STATISTICS, [] if row is None else [(row, "head")])


def open_models(**link: str | Sequence[str]) -> AppTest:
    """The page Models of an app that was opened by a link with these query parameters."""
    return open_app(**link).switch_page("views/models.py").run()


def choose_model(at: AppTest, title: str) -> AppTest:
    """Click a model's row in the table of the page Models, by its title, and run."""
    titles = at.dataframe(key=keys.MODELS_TABLE).value["model"].tolist()
    return _select(at, keys.MODELS_TABLE, [(titles.index(title), "model")])


def open_tokens(**link: str | Sequence[str]) -> AppTest:
    """The page Tokens as opened by a link: tokens="similarity", facet="key", token_layer="3", …."""
    return _app(link).switch_page("views/tokens.py").run()


def click_token(at: AppTest, *, row: int, col: int) -> AppTest:
    """Click a patch of the picture or of its map on the page Tokens, making it the query, and run."""
    return click(at, keys.TOKEN_MAP, x=col, y=row)


def click_pair(at: AppTest, picture: str, *, row: int, col: int) -> AppTest:
    """Click a patch of the "first" or the "second" of two pictures on the page Tokens, making it the query, and run."""
    cells = decode_figure(at, keys.TOKEN_PAIR)[picture]
    return click(at, keys.TOKEN_PAIR, x=cells["x0"] + col * cells["dx"], y=cells["y0"] + row * cells["dy"])


def open_compare(**link: str | Sequence[str]) -> AppTest:
    """The page Compare as opened by a link: pane=["demo_vit_p8:5:mean", …], show="mask", …."""
    return _app(link).switch_page("views/compare.py").run()


def click_pane(at: AppTest, *, y: float, x: float) -> AppTest:
    """Click a point in any pane, in pixels of the scaled picture, and run."""
    return click(at, keys.COMPARISON, x=x, y=y)


def drag_zoom(at: AppTest, *, top: float, left: float, bottom: float, right: float) -> AppTest:
    """Drag a box in any pane, in pixels of the scaled picture, and run."""
    box = {"x": [left, right], "y": [bottom, top]}  # Plotly's y axis goes down here
    return telling(at, keys.COMPARISON, "box", box)()


def telling(at: AppTest, chart: str, event: str, value: dict[str, Any]) -> Callable[[], AppTest]:
    """What sends, once it is called, what a chart's component sends, and runs: by private names, for want of others."""
    states = at._tree.get_widget_states()
    trigger = f"$$STREAMLIT_INTERNAL_KEY_{at.get_by_key(keys.events_of(chart)).proto.id}__events"
    events = json.dumps([{"event": event, "value": value}])
    states.widgets.append(WidgetState(id=trigger, json_trigger_value=events))
    return lambda: at._run(states)


def report_tables(at: AppTest) -> list[pd.DataFrame]:
    """The load reports on the page, the chosen model's first: AppTest knows no keys of tables without selection."""
    return [table.value for table in at.dataframe if list(table.value.columns) == ["tensor", "done", "became"]]


def _select(at: AppTest, key: str, cells: list[tuple[int, str]]) -> AppTest:
    """Send what a browser sends for cells selected in a table, its widget state, and run; by private names too."""
    states = at._tree.get_widget_states()
    selection = json.dumps({"selection": {"rows": [], "columns": [], "cells": cells}})
    states.widgets.append(WidgetState(id=at.get_by_key(key).proto.id, string_value=selection))
    return at._run(states)


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if {"dtype", "bdata"} <= value.keys():
        array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]))
        shape = value.get("shape")
        return array.reshape([int(side) for side in str(shape).split(",")]) if shape else array
    return {name: _decode(entry) for name, entry in value.items()}
