"""For AppTest suites: open the app, read a drawn figure back into arrays, click into a chart.

    at = open_app(layer="3")
    drawn = decode_figure(at, keys.OVERLAY)["attention"]["z"]
    click_patch(at, row=4, col=7)
    at.button(key=keys.RESET_QUERY).click().run()

Elements are found by the keys of dashboard.keys, never by position.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from dashboard import keys

APP = Path(__file__).with_name("app.py")
TIMEOUT = 120  # seconds for one run: the first one loads a model


def open_app(**link: str | list[str]) -> AppTest:
    """The running app as opened by a link with these query parameters."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for name, value in link.items():
        at.query_params[name] = value
    return at.run()


def decode_figure(at: AppTest, key: str) -> dict[str, dict[str, Any]]:
    """The traces of a drawn chart by name, every encoded array as a NumPy array, and "layout".

    Raises KeyError where no chart has this key.
    """
    figure = _decode(json.loads(at.get_by_key(key).proto.spec))
    return {**{trace["name"]: trace for trace in figure["data"]}, "layout": figure["layout"]}


def click_patch(at: AppTest, *, row: int, col: int) -> AppTest:
    """Click a patch of the large map, making it the query, and run."""
    return _click(at, keys.OVERLAY, "patches", lambda x, y, data: (x, y) == (col, row))


def click_head(at: AppTest, *, head: int) -> AppTest:
    """Click a head in the grid of the layer's heads, and run."""
    return _click(at, keys.HEAD_GRID, "cells", lambda x, y, data: list(data) == [head])


def click_layer_and_head(at: AppTest, *, layer: int, head: int) -> AppTest:
    """Click a cell of the layers × heads mosaic, and run."""
    return _click(at, keys.MOSAIC, "cells", lambda x, y, data: list(data) == [layer, head])


def choose_row(at: AppTest, *, row: int | None) -> AppTest:
    """Click a cell in a row of the statistics table, by its place before sorting, or click it away, and run."""
    cells = [] if row is None else [[row, "head"]]
    return _select(at, keys.HEAD_STATISTICS, {"rows": [], "columns": [], "cells": cells})


def unclick(at: AppTest, key: str) -> AppTest:
    """Send what a browser sends for a second click on a point of a chart, which deselects it, and run."""
    return _select(at, key, {"points": [], "point_indices": [], "box": [], "lasso": []})


def open_models(**link: str) -> AppTest:
    """The page Models of an app that was opened by a link with these query parameters."""
    return open_app(**link).switch_page("views/models.py").run()


def choose_model(at: AppTest, title: str) -> AppTest:
    """Click a model's row in the table of the page Models, by its title, and run."""
    titles = at.dataframe(key=keys.MODELS_TABLE).value["model"].tolist()
    cells = [[titles.index(title), "model"]]
    return _select(at, keys.MODELS_TABLE, {"rows": [], "columns": [], "cells": cells})


def report_tables(at: AppTest) -> list[pd.DataFrame]:
    """The load reports on the page, the chosen model's first: AppTest knows no keys of tables without selection."""
    return [table.value for table in at.dataframe if list(table.value.columns) == ["tensor", "done", "became"]]


def _click(at: AppTest, key: str, trace_name: str, hit: Callable[[Any, Any, Any], bool]) -> AppTest:
    figure = decode_figure(at, key)
    trace = figure[trace_name]
    points = zip(np.ravel(trace["x"]), np.ravel(trace["y"]), trace["customdata"], strict=True)
    index, (x, y, data) = next((i, point) for i, point in enumerate(points) if hit(*point))
    number = [name for name in figure if name != "layout"].index(trace_name)
    point: dict[str, Any] = {"curve_number": number, "point_index": index, "x": int(x), "y": int(y)}
    point["customdata"] = np.array(data).tolist()
    return _select(at, key, {"points": [point], "point_indices": [index], "box": [], "lasso": []})


def _select(at: AppTest, key: str, selection: dict[str, Any]) -> AppTest:
    """Send what a browser sends for a selection, and run."""
    return selecting(at, key, selection)()


def selecting(at: AppTest, key: str, selection: dict[str, Any]) -> Callable[[], AppTest]:
    """What sends what a browser sends for a selection, the element's widget state, and runs, when it is called.

    AppTest has no public way to do this, hence the private names.
    """
    states = at._tree.get_widget_states()
    states.widgets.append(
        WidgetState(id=at.get_by_key(key).proto.id, string_value=json.dumps({"selection": selection}))
    )
    return lambda: at._run(states)


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
