"""Plain figures send what checked ones would; pictures are encoded once."""

import base64
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest

from tests.vit_engine.report.fixtures_bundles import FRAME, coarse, comparison, fine, shown
from vit_engine.report import figure as figures
from vit_engine.report import jpegs
from vit_engine.report.colours import colour_stops
from vit_engine.report.figure import PlainFigure, compare_figure
from vit_engine.report.jpegs import jpeg_address
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import SCALES, SHOWS, Style

TRACES = [
    {"type": "scatter", "x": np.array([1, 2], dtype=np.int16), "y": [3.5, None], "name": "one"},
    {"type": "heatmap", "z": np.arange(6, dtype=np.float32).reshape(2, 3), "colorscale": colour_stops("magma")},
]
MAPS = comparison(
    shown(0, fine((1, 2, 20), (4, 10, 5)), query=(4, 10)), shown(1, coarse((0, 1, 40), (2, 4, 10)), query=(2, 4))
)
LAYOUT = {"xaxis": {"title": {"text": "layer"}}, "showlegend": False}


def figure() -> PlainFigure:
    return PlainFigure([dict(trace) for trace in TRACES], dict(LAYOUT))


def sent(figure: go.Figure | dict[str, Any]) -> Any:
    """As a browser reads it."""
    return json.loads(plotly.io.to_json(figure if isinstance(figure, dict) else figure.to_dict(), validate=False))


def checked(figure: PlainFigure) -> go.Figure:
    """What Plotly makes of the same properties, all of which it looks at."""
    return go.Figure(figure.data, figure.layout)


def test_what_is_sent_is_what_plotly_makes_of_it_by_hand() -> None:
    now = sent(figure())
    assert now["data"][0] == {
        "type": "scatter",
        "x": {"dtype": "i2", "bdata": "AQACAA=="},
        "y": [3.5, None],
        "name": "one",
    }
    z = now["data"][1]["z"]
    assert (z["dtype"], z["shape"]) == ("f4", "2, 3")
    assert np.frombuffer(base64.b64decode(z["bdata"]), dtype="<f4").tolist() == [0, 1, 2, 3, 4, 5]
    assert now["layout"]["xaxis"] == {"title": {"text": "layer"}}
    assert now["layout"]["template"] == sent(go.Figure())["layout"]["template"]


def test_it_becomes_a_checked_figure_once_it_is_asked_or_changed() -> None:
    one = figure()
    assert (one.data[0].name, one.layout.xaxis.title.text) == ("one", "layer")
    one.update_layout(hovermode="closest")
    assert sent(one)["layout"]["hovermode"] == "closest"
    assert sent(figure()) == sent(checked(figure()))
    with pytest.raises(ValueError, match="colour"):
        PlainFigure([{"type": "scatter", "colour": "red"}], {}).data  # noqa: B018  (what is asked for is the check)
    with pytest.raises(AttributeError, match="nothing"):
        one.nothing  # noqa: B018


def test_sending_does_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    figures._template()
    monkeypatch.setattr(go.Figure, "__init__", lambda *_: pytest.fail("checked"))
    assert sent(figure())["layout"]["showlegend"] is False


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_comparison_is_sent_as_plotly_checks_it(show: str, scale: str) -> None:
    drawn = (*panels(MAPS, Style(show=show, scale=scale)), Panel("Z", "", message="no map"))
    options: dict[str, Any] = {"frame": FRAME, "opacity": 0.5, "zoom": (1.0, 2.0, 30.0, 40.0)}
    assert sent(compare_figure(drawn, **options)) == sent(checked(compare_figure(drawn, **options)))


def test_a_picture_is_encoded_once_for_all_who_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 11, 3), dtype=np.uint8)
    jpeg_address.cache.clear()
    first = jpeg_address(pixels, quality=80)
    assert first.startswith("data:image/jpeg;base64,")
    other = pixels.copy()
    other[3, 4, 0] ^= 128
    others = [(other, 80), (pixels, 30), (pixels.reshape(11, 7, 3), 80)]
    assert first not in [jpeg_address(each, quality=quality) for each, quality in others]
    monkeypatch.setattr(jpegs, "Image", None)  # nothing can be encoded any more
    assert jpeg_address(pixels.copy(), quality=80) == first
    with pytest.raises(AttributeError):
        jpeg_address(other, quality=30)


def test_what_is_kept_is_bounded_in_bytes() -> None:
    jpeg_address.cache.clear()
    address = jpeg_address(np.zeros((7, 11, 3), dtype=np.uint8), quality=80)
    assert jpeg_address.cache.currsize == len(address) < jpeg_address.cache.maxsize == 1 << 24
