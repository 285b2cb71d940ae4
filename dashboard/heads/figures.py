"""The figures of the page Heads. No Streamlit, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dashboard.charts import BARE, as_text, bare_axes, by_layer, head_colour, heatmap, ticks
from vit_engine.analysis.similarity import Head
from vit_engine.report.colours import MARK, MARK_EDGE, colour_stops, coloured
from vit_engine.report.figure import Plain, PlainFigure

DIGITS = {"bits": 2, "nats": 2, "0..1": 2, "tokens": 0, "px": 0}  # after the point, by unit; one more on hover
NAMED_CELLS = 24  # heads whose names have room beside the matrix
_UNMARKED: Plain = {"ticks": "", "showline": False}  # an axis beside cells
SPREAD = 0.14  # layers, between the dots of two models
THUMBNAIL_SIDE = 168  # pixels of the longer side, about


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
    across = {"title": {"text": "head", "standoff": 4}, "range": [-0.5, heads - 0.5], "side": "top"}
    down = {"title": {"text": "layer", "standoff": 12}, "range": [depth - 0.5, -0.5]}
    layout: Plain = {
        **BARE,
        "margin": {"l": 56, "r": 0, "t": 44, "b": 4},
        "xaxis": {**across, **ticks(range(heads), range(heads)), **_UNMARKED},
        "yaxis": {**down, **ticks(range(depth), layers), **_UNMARKED},
    }
    layer, head = selected
    if layer in layers:
        left, right = (0, heads - 1) if head is None else (head, head)
        row = list(layers).index(layer)
        layout["shapes"] = _frame(left - 0.5, row - 0.5, right + 0.5, row + 0.5)
    return PlainFigure([_statistic_map(values, layers, title, unit, colours)], layout)


def _statistic_map(values: np.ndarray, layers: Sequence[int], title: str, unit: str, colours: str) -> Plain:
    low, high = float(values.min()), float(values.max())
    number = np.repeat(np.asarray(layers, dtype=np.int16)[:, None], values.shape[1], axis=1)
    return {
        **heatmap(values, colours, low=low, high=high if high > low else low + 1, name="statistic"),
        "customdata": number,
        "texttemplate": f"%{{z:.{DIGITS[unit]}f}}",
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": f"layer %{{customdata}} · head %{{x}}<br>{_hover(title, unit, 'z')}",
        "colorbar": _colour_bar(unit),
    }


def profile_figure(profiles: Sequence[Profile], *, title: str, unit: str) -> PlainFigure:
    """A statistic by depth: a dot a head, the mean of each layer as a line, a colour a model."""
    shifts = [(number - (len(profiles) - 1) / 2) * SPREAD for number in range(len(profiles))]
    traces = [
        {**trace, "legendgroup": as_text(profile.title), "meta": as_text(profile.title)}
        for number, profile in enumerate(profiles)
        for trace in _profile_traces(profile, shifts[number], head_colour(number), _hover(title, unit, "y"))
    ]
    layers = 1 + max(max(profile.layers) for profile in profiles)
    every = 1 if layers <= 16 else 4
    layout = by_layer(f"{title} ({unit})", {"rangemode": "tozero"}, left=56, every=every)
    return PlainFigure(traces, {**layout, "showlegend": True, "dragmode": False})


def _profile_traces(profile: Profile, shift: float, colour: str, hover: str) -> tuple[Plain, Plain]:
    """A dot a head, so far beside its layer, and the line of their means. hover: what tells the value."""
    depth, heads = profile.values.shape
    named = np.stack([np.repeat(profile.layers, heads), np.tile(np.arange(heads), depth)], axis=1)
    model = as_text(profile.title)
    dots = {
        "type": "scatter",
        "x": np.repeat(np.asarray(profile.layers, dtype=np.float32) + np.float32(shift), heads),
        "y": profile.values.ravel().astype(np.float32),
        "customdata": named.astype(np.int16),
        "mode": "markers",
        "name": f"heads of {model}",
        "showlegend": False,
        "opacity": 0.6,
        "marker": {"size": 7, "color": colour},
        "hovertemplate": "%{meta}<br>layer %{customdata[0]} · head %{customdata[1]}<br>" + hover,
    }
    line = {
        "type": "scatter",
        "x": list(profile.layers),
        "y": profile.values.mean(axis=1).astype(np.float32),
        "mode": "lines+markers",
        "name": model,
        "line": {"width": 3, "color": colour},
        "marker": {"size": 6},
        "hovertemplate": "%{meta}<br>layer %{x} · mean over heads<br>" + hover,
    }
    return dots, line


def similarity_figure(
    divergence: np.ndarray, *, heads: Sequence[Head], groups: Sequence[Sequence[Head]], colours: str
) -> PlainFigure:
    """How far apart any two heads are, in bits, from 0; redundant groups are framed; a click opens the row's head.

    divergence: (n, n), in the order to draw, and so are heads. groups: of heads; those that stand together get one
    frame, those that do not one for each part that does.
    """
    count = len(heads)
    layout: Plain = {**BARE, **bare_axes("", rows=count, cols=count)}
    layout["margin"] = {"l": 44, "r": 0, "t": 4, "b": 44}
    marks = _matrix_ticks(heads)
    layout["xaxis"] |= {"visible": True, "title": {"text": "layer·head", "standoff": 4}, **marks, **_UNMARKED}
    layout["yaxis"] |= {"visible": True, **marks, **_UNMARKED}
    if frames := _frames(heads, groups):
        layout["shapes"] = frames
    return PlainFigure([_divergence_map(divergence, heads, colours)], layout)


def _divergence_map(divergence: np.ndarray, heads: Sequence[Head], colours: str) -> Plain:
    """The axes have a name for each head, which hover tells: names of both for each cell would be millions."""
    names = [f"layer {layer} · head {head}" for layer, head in heads]
    return {
        **heatmap(divergence, colours, high=float(divergence.max()) or 1.0, name="divergence"),
        "x": names,
        "y": names,
        "colorbar": _colour_bar("bits"),
        "hovertemplate": "%{y}<br>%{x}<br>%{z:.3f} bits apart<extra></extra>",
    }


def _frames(heads: Sequence[Head], groups: Sequence[Sequence[Head]]) -> list[dict]:
    place = {head: number for number, head in enumerate(heads)}
    runs = [run for group in groups for run in _runs(sorted(place[head] for head in group))]
    return [shape for first, last in runs for shape in _frame(first - 0.5, first - 0.5, last + 0.5, last + 0.5)]


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending places as (first, last) of each run without a gap."""
    inside = set(places)
    firsts = [place for place in places if place - 1 not in inside]
    lasts = [place for place in places if place + 1 not in inside]
    return list(zip(firsts, lasts, strict=True))


def _matrix_ticks(heads: Sequence[Head]) -> dict:
    """Names of all heads where there is room; else of each layer where it begins, if heads stand by layer."""
    if len(heads) <= NAMED_CELLS:
        return ticks(range(len(heads)), [f"{layer}·{head}" for layer, head in heads])
    if list(heads) != sorted(heads):
        return {"showticklabels": False, "showgrid": False, "zeroline": False}
    begins = [place for place, (layer, _) in enumerate(heads) if place == 0 or heads[place - 1][0] != layer]
    return ticks(begins, [f"{heads[place][0]}·{heads[place][1]}" for place in begins])


def thumbnail(pixels: np.ndarray, values: np.ndarray, *, limit: float, colours: str, opacity: float) -> np.ndarray:
    """A small picture under its attention: uint8 (height, width, 3), each patch a square.

    pixels: uint8 (height, width, 3). values: (rows, cols), drawn from 0 to `limit`. opacity: 0..1.
    """
    rows, cols = values.shape
    cell = max(1, round(THUMBNAIL_SIDE / max(rows, cols)))
    heat = coloured(values, 0.0, limit, colour_stops(colours))[..., :3].repeat(cell, axis=0).repeat(cell, axis=1)
    under = np.asarray(Image.fromarray(pixels).resize((cols * cell, rows * cell)), dtype=np.float64)
    return (opacity * heat + (1 - opacity) * under).round().astype(np.uint8)


def _hover(title: str, unit: str, variable: str) -> str:
    after = "" if unit == "0..1" else f" {unit}"
    return f"{title}: %{{{variable}:.{DIGITS[unit] + 1}f}}{after}<extra></extra>"


def _colour_bar(unit: str) -> dict:
    size = {"thickness": 10, "outlinewidth": 0, "len": 1, "xpad": 6, "ypad": 0}
    return {**size, "nticks": 6, "title": {"text": unit, "side": "top"}, "tickfont": {"size": 11}}


def _frame(left: float, top: float, right: float, bottom: float) -> list[dict]:
    """A light line on a dark one: seen on every colour of a scale."""
    edges = {"type": "rect", "x0": left, "y0": top, "x1": right, "y1": bottom}
    return [{**edges, "line": {"width": width, "color": colour}} for width, colour in ((4.5, MARK_EDGE), (2, MARK))]
