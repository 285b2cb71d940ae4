"""The figures of the page Heads. No Streamlit, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dashboard.charts import CLICKABLE, HEAD_COLOURS, as_text, bare_axes
from vit_engine.report.colours import MARK, MARK_EDGE, colour_stops, coloured
from vit_engine.report.figure import Plain, PlainFigure

Head = tuple[int, int]  # (layer, head)

DIGITS = {"bits": 2, "nats": 2, "0..1": 2, "tokens": 0, "px": 0}  # after the point, by unit; one more on hover
MAX_CELLS = 80 * 80  # transparent markers of a similarity matrix: a browser draws each of them
NAMED_CELLS = 24  # heads whose names have room beside the matrix
SPREAD = 0.14  # layers, between the dots of two models
THUMBNAIL_SIDE = 168  # pixels of the longer side, about
# Their customdata are lists: of a typed array, a click would send an object without an order.
_MARKERS: Plain = {
    "type": "scatter",
    "mode": "markers",
    "name": "cells",
    "marker": {"size": 6, "opacity": 0},
    "selected": {"marker": {"opacity": 0}},
    "unselected": {"marker": {"opacity": 0}},
}


@dataclass(frozen=True)
class Profile:
    """A statistic of one model's heads: its title, the layers' numbers, values (layers, heads)."""

    title: str
    layers: tuple[int, ...]
    values: np.ndarray


def statistic_figure(
    values: np.ndarray, *, layers: Sequence[int], title: str, unit: str, colours: str, selected: tuple[int, int | None]
) -> PlainFigure:
    """A statistic of all heads, layers down and heads across, written into the cells; a click opens that head.

    values: (layers, heads), coloured from the smallest to the largest. selected: (layer, head or None for all).
    """
    depth, heads = values.shape
    layout: Plain = {
        **CLICKABLE,
        "margin": {"l": 56, "r": 0, "t": 44, "b": 4},
        "xaxis": {
            "title": {"text": "head", "standoff": 4}, "side": "top", "range": [-0.5, heads - 0.5],
            **_ticks(range(heads)),
        },
        "yaxis": {"title": {"text": "layer", "standoff": 12}, "range": [depth - 0.5, -0.5], **_ticks(layers)},
    }  # fmt: skip
    layer, head = selected
    if layer in layers:
        left, right = (0, heads - 1) if head is None else (head, head)
        row = list(layers).index(layer)
        layout["shapes"] = _frame(left - 0.5, row - 0.5, right + 0.5, row + 0.5)
    return PlainFigure([_statistic_map(values, unit, colours), _statistic_cells(values, layers, title, unit)], layout)


def _statistic_map(values: np.ndarray, unit: str, colours: str) -> Plain:
    low, high = float(values.min()), float(values.max())
    return {
        "type": "heatmap", "z": values.astype(np.float32), "zmin": low, "zmax": high if high > low else low + 1,
        "name": "statistic", "colorscale": colour_stops(colours), "texttemplate": f"%{{z:.{DIGITS[unit]}f}}",
        "hoverinfo": "skip", "xgap": 2, "ygap": 2, "colorbar": _colour_bar(unit),
    }  # fmt: skip


def _statistic_cells(values: np.ndarray, layers: Sequence[int], title: str, unit: str) -> Plain:
    depth, heads = values.shape
    down, across = np.mgrid[:depth, :heads]
    named = np.stack([np.repeat(np.asarray(layers), heads), across.ravel()], axis=1)
    return {
        **_MARKERS, "x": across.ravel().astype(np.int16), "y": down.ravel().astype(np.int16),
        "customdata": named.tolist(), "text": [_hover(title, value, unit) for value in values.ravel()],
        "hovertemplate": "layer %{customdata[0]} · head %{customdata[1]}<br>%{text}<extra></extra>",
    }  # fmt: skip


def profile_figure(profiles: Sequence[Profile], *, title: str, unit: str) -> PlainFigure:
    """A statistic by depth: a dot a head, the mean of each layer as a line, a colour a model."""
    traces: list[Plain] = []
    for number, profile in enumerate(profiles):
        shift = (number - (len(profiles) - 1) / 2) * SPREAD
        traces.append(_profile_dots(profile, shift, number=number, title=title, unit=unit))
        traces.append(_profile_line(profile, number=number, title=title, unit=unit))
    last = max(max(profile.layers) for profile in profiles)
    return PlainFigure(traces, {
        "xaxis": {"title": {"text": "layer"}, "tickmode": "linear", "dtick": _every(last + 1), "fixedrange": True},
        "yaxis": {"title": {"text": f"{title} ({unit})"}, "rangemode": "tozero", "fixedrange": True},
        "margin": {"l": 56, "r": 8, "t": 8, "b": 44}, "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.2}, "showlegend": True, "dragmode": False,
    })  # fmt: skip


def _profile_dots(profile: Profile, shift: float, *, number: int, title: str, unit: str) -> Plain:
    depth, heads = profile.values.shape
    named = np.stack([np.repeat(profile.layers, heads), np.tile(np.arange(heads), depth)], axis=1)
    model = as_text(profile.title)
    return {
        "type": "scatter", "x": np.repeat(np.asarray(profile.layers, dtype=np.float32) + np.float32(shift), heads),
        "y": profile.values.ravel().astype(np.float32), "customdata": named.astype(np.int16), "mode": "markers",
        "name": f"heads of {model}", "showlegend": False, "opacity": 0.6, "legendgroup": model, "meta": model,
        "marker": {"size": 7, "color": HEAD_COLOURS[number % len(HEAD_COLOURS)]},
        "text": [_hover(title, each, unit) for each in profile.values.ravel()],
        "hovertemplate": "%{meta}<br>layer %{customdata[0]} · head %{customdata[1]}<br>%{text}<extra></extra>",
    }  # fmt: skip


def _profile_line(profile: Profile, *, number: int, title: str, unit: str) -> Plain:
    means, model = profile.values.mean(axis=1), as_text(profile.title)
    return {
        "type": "scatter", "x": list(profile.layers), "y": means.astype(np.float32), "mode": "lines+markers",
        "name": model, "legendgroup": model, "meta": model,
        "line": {"width": 3, "color": HEAD_COLOURS[number % len(HEAD_COLOURS)]}, "marker": {"size": 6},
        "text": [_hover(title, mean, unit) for mean in means],
        "hovertemplate": "%{meta}<br>layer %{x} · mean over heads<br>%{text}<extra></extra>",
    }  # fmt: skip


def similarity_figure(
    divergence: np.ndarray, *, heads: Sequence[Head], groups: Sequence[Sequence[Head]], colours: str
) -> PlainFigure:
    """How far apart any two heads are, in bits, from 0; redundant groups are framed; a click opens the row's head.

    divergence: (n, n), in the order to draw, and so are heads. groups: of heads; those that stand together get one
    frame, those that do not one for each part that does. In a matrix too large for a marker a cell, only the
    diagonal takes clicks.
    """
    count = len(heads)
    layout: Plain = {**CLICKABLE, **bare_axes("", rows=count, cols=count, domain=(0.0, 1.0))}
    layout["margin"] = {"l": 44, "r": 0, "t": 4, "b": 44}
    if count**2 > MAX_CELLS:
        layout["hoverdistance"] = 6  # further from the diagonal, the heatmap answers
    ticks = _matrix_ticks(heads)
    layout["xaxis"] |= {"visible": True, "title": {"text": "layer·head", "standoff": 4}, **ticks}
    layout["yaxis"] |= {"visible": True, **ticks}
    if frames := _frames(heads, groups):
        layout["shapes"] = frames
    return PlainFigure([_divergence_map(divergence, heads, colours), _cells(divergence, heads)], layout)


def _divergence_map(divergence: np.ndarray, heads: Sequence[Head], colours: str) -> Plain:
    numbers = np.arange(len(heads), dtype=np.int16)
    hover: Plain = {"hoverinfo": "skip"}
    if len(heads) ** 2 > MAX_CELLS:
        hover = {**_PAIR_HOVER, "customdata": _pairs(heads)}
    return {
        "type": "heatmap", "z": divergence.astype(np.float32), "zmin": 0, "zmax": float(divergence.max()) or 1.0,
        "name": "divergence", "colorscale": colour_stops(colours), "colorbar": _colour_bar("bits"), "x": numbers,
        "y": numbers, **hover,
    }  # fmt: skip


_PAIR_HOVER = {
    "hovertemplate": "layer %{customdata[0]} · head %{customdata[1]}<br>layer %{customdata[2]} · head %{customdata[3]}"
    "<br>%{z:.3f} bits apart<extra></extra>"
}


def _pairs(heads: Sequence[Head]) -> np.ndarray:
    """(layer, head) of the row and of the column of each cell: uint8 (n, n, 4)."""
    numbers = np.asarray(heads, dtype=np.uint8)
    count = len(heads)
    rows = np.broadcast_to(numbers[:, None], (count, count, 2))
    return np.concatenate([rows, rows.transpose(1, 0, 2)], axis=2)


def _cells(divergence: np.ndarray, heads: Sequence[Head]) -> Plain:
    """A marker a cell; in a large matrix, on its diagonal alone."""
    count = len(heads)
    down, across = np.mgrid[:count, :count]
    kept = np.ones((count, count), dtype=bool) if count**2 <= MAX_CELLS else np.eye(count, dtype=bool)
    return {
        **_MARKERS, "x": across[kept].astype(np.int16), "y": down[kept].astype(np.int16),
        "customdata": _pairs(heads)[kept].tolist(), "text": [f"{bits:.3f}" for bits in divergence[kept]],
        "hovertemplate": _PAIR_HOVER["hovertemplate"].replace("%{z:.3f}", "%{text}"),
    }  # fmt: skip


def _frames(heads: Sequence[Head], groups: Sequence[Sequence[Head]]) -> list[dict]:
    """Around each part of a group that stands together."""
    place = {head: number for number, head in enumerate(heads)}
    runs = [run for group in groups for run in _runs(sorted(place[head] for head in group))]
    return [shape for first, last in runs for shape in _frame(first - 0.5, first - 0.5, last + 0.5, last + 0.5)]


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending places as (first, last) of each run without a gap."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs


def _matrix_ticks(heads: Sequence[Head]) -> dict:
    """Names of all heads where there is room; else of each layer where it begins, if heads stand by layer."""
    if len(heads) <= NAMED_CELLS:
        return _ticks([f"{layer}·{head}" for layer, head in heads])
    if list(heads) != sorted(heads):
        return {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
    begins = [place for place, (layer, _) in enumerate(heads) if place == 0 or heads[place - 1][0] != layer]
    return {**_ticks([f"{heads[place][0]}·{heads[place][1]}" for place in begins]), "tickvals": begins}


def thumbnail(pixels: np.ndarray, values: np.ndarray, *, limit: float, colours: str, opacity: float) -> np.ndarray:
    """A small picture under its attention: uint8 (height, width, 3), each patch a square.

    pixels: uint8 (height, width, 3). values: (rows, cols), drawn from 0 to `limit`. opacity: 0..1.
    """
    rows, cols = values.shape
    cell = max(1, round(THUMBNAIL_SIDE / max(rows, cols)))
    heat = coloured(values, 0.0, limit, colour_stops(colours))[..., :3].repeat(cell, axis=0).repeat(cell, axis=1)
    under = np.asarray(Image.fromarray(pixels).resize((cols * cell, rows * cell)), dtype=np.float64)
    return (opacity * heat + (1 - opacity) * under).round().astype(np.uint8)


def _hover(title: str, value: float, unit: str) -> str:
    return f"{title}: {value:.{DIGITS[unit] + 1}f}{_after(unit)}"


def _after(unit: str) -> str:
    """A unit behind a number; a share has none."""
    return "" if unit == "0..1" else f" {unit}"


def _colour_bar(unit: str) -> dict:
    return {
        "thickness": 10, "outlinewidth": 0, "len": 1, "xpad": 6, "ypad": 0, "nticks": 6,
        "title": {"text": unit, "side": "top"}, "tickfont": {"size": 11},
    }  # fmt: skip


def _ticks(names: Sequence[object] | range) -> dict:
    return {
        "tickvals": list(range(len(names))), "ticktext": [str(name) for name in names], "showgrid": False,
        "zeroline": False, "fixedrange": True, "ticks": "", "showline": False,
    }  # fmt: skip


def _every(count: int) -> int:
    """A step between the labels of so many layers."""
    return 1 if count <= 16 else 4


def _frame(left: float, top: float, right: float, bottom: float) -> list[dict]:
    """A light line on a dark one: seen on every colour of a scale."""
    edges = {"type": "rect", "x0": left, "y0": top, "x1": right, "y1": bottom}
    return [{**edges, "line": {"width": width, "color": colour}} for width, colour in ((4.5, MARK_EDGE), (2, MARK))]
