"""From arrays to Plotly figures. No Streamlit, no torch.

A click on a heatmap gives no event, so every figure has a layer of transparent markers over it, one
a patch or one a cell; the nearest marker takes a click wherever it falls.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import get_colorscale, hex_to_rgb

COLOUR_SCALES = ("inferno", "viridis", "cividis", "magma", "turbo")
AUTO = {"dark": "inferno", "light": "viridis"}
GUTTER = 0.07  # of a cell, between the cells of a mosaic
ACCENT = "#14b8a6"
# Okabe and Ito's colours, told apart by the colour-blind, on light and on dark.
HEAD_COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#999933",
    "#882255",
    "#332288",
    "#44aa99",
    "#aa4466",
    "#888888",
)
MARK = "#ffffff"
MARK_EDGE = "#111111"
THUMBNAIL = 32  # patches a side, at most, of a cell of the layers × heads mosaic


def colour_stops(name: str) -> list[tuple[float, str]]:
    """A colour scale as (place 0..1, "rgb(r, g, b)") stops.

    Never as hex: Streamlit's theme takes colours such as #000004, where inferno begins, for
    placeholders and puts its own in their place.
    """
    return [
        (place, f"rgb{hex_to_rgb(colour)}" if colour.startswith("#") else colour)
        for place, colour in get_colorscale(name)
    ]


def upper_limit(values: np.ndarray, percentile: float) -> float:
    """Where a colour scale that starts at 0 ends: a percentile of the values, above 0."""
    finite = values[np.isfinite(values)]
    limit = float(np.percentile(finite, percentile)) if finite.size else 0.0
    return limit if limit > 0 else max(float(finite.max(initial=0.0)), 1e-12)


def overlay_figure(
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    limit: float,
    colours: str,
    opacity: float,
    query: tuple[int, int] | None,
    beside: bool = False,
) -> go.Figure:
    """Attention over the picture, or beside it; a click on a patch chooses it.

    pixels: uint8 (height, width, 3). values: (rows, cols), drawn from 0 to `limit`. opacity: 0..1.
    query: the patch (row, col) to mark, or None for CLS.
    """
    rows, cols = values.shape
    figure = go.Figure()
    figure.add_trace(_heatmap(values, limit, colours, opacity=1.0 if beside else opacity, beside=beside))
    for axis in ("", "2") if beside else ("",):
        figure.add_trace(_patches(values, axis, "patches" if axis == "" else "patches beside"))
        if query is not None:
            figure.add_trace(_query_mark(query, axis))
    figure.add_layout_image(_picture(pixels, rows, cols))
    frame = {"rows": rows, "cols": cols}
    figure.update_layout(**_bare_axes("", **frame, domain=(0.0, 0.495) if beside else (0.0, 1.0)), **_CLICKABLE)
    if beside:
        figure.update_layout(**_bare_axes("2", **frame, domain=(0.505, 1.0)))
    return figure


def head_grid_figure(
    maps: np.ndarray, *, limits: np.ndarray, colours: str, labels: Sequence[str], selected: int | None
) -> go.Figure:
    """All heads of a layer in a grid; a click on a cell chooses its head.

    maps: (heads, rows, cols), each drawn from 0 to its entry of `limits` (heads,). labels: a head each.
    """
    heads, rows, cols = maps.shape
    across = grid_columns(heads, rows, cols)
    down = -(-heads // across)
    cells = np.full((down * across, rows, cols), np.nan, dtype=np.float32)
    cells[:heads] = maps / limits[:, None, None]
    places = [divmod(head, across) for head in range(heads)]
    data = [(head,) for head in range(heads)]
    figure = _mosaic(cells.reshape(down, across, rows, cols), places, data, colours, labels)
    for head, (row, col) in enumerate(places):
        x, y = _cell_origin(row, col, rows, cols)
        figure.add_annotation(
            x=x, y=y, text=f"<b>{head}</b>", showarrow=False, xanchor="left", yanchor="top",
            font={"size": 12, "color": "#ffffff"}, bgcolor="rgba(0,0,0,0.55)", borderpad=2,
        )  # fmt: skip
    if selected is not None:
        figure.add_shape(_frame(*places[selected], rows, cols))
    return figure


def mosaic_figure(
    maps: np.ndarray,
    *,
    limits: np.ndarray,
    colours: str,
    labels: Sequence[Sequence[str]],
    layers: Sequence[int],
    selected: tuple[int, int | None],
) -> go.Figure:
    """All heads of all layers in one heatmap; a click on a cell opens that layer and head.

    maps: (layers, heads, rows, cols), each drawn from 0 to its entry of `limits` (layers, heads).
    labels: a text a cell. selected: (index of the layer, head or None for the whole row).
    """
    depth, heads, rows, cols = maps.shape
    scaled = (maps / limits[..., None, None]).astype(np.float32)
    places = [(layer, head) for layer in range(depth) for head in range(heads)]
    data = [(layers[layer], head) for layer, head in places]
    figure = _mosaic(scaled, places, data, colours, [text for row in labels for text in row])
    step_y, step_x = _steps(rows, cols)
    figure.update_yaxes(
        visible=True, tickvals=[layer * step_y + (rows - 1) / 2 for layer in range(depth)],
        ticktext=[str(layer) for layer in layers], title={"text": "layer", "standoff": 4},
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(
        visible=True, tickvals=[head * step_x + (cols - 1) / 2 for head in range(heads)],
        ticktext=[str(head) for head in range(heads)], title={"text": "head", "standoff": 4}, side="top",
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_layout(margin={"l": 44, "r": 4, "t": 44, "b": 4})
    layer, head = selected
    first, last = (0, heads - 1) if head is None else (head, head)
    figure.add_shape(_frame(layer, first, rows, cols, last))
    return figure


def entropy_figure(entropy: np.ndarray, *, layers: Sequence[int], layer: int, unit: str, most: float) -> go.Figure:
    """Entropy by depth: a thin line a head, their mean in bold.

    entropy: (layers, heads), in `unit`; the axis runs from 0 to `most`, the entropy of even attention.
    """
    figure = go.Figure()
    template = f"layer %{{x}} · %{{fullData.name}}<br>%{{y:.2f}} {unit}<extra></extra>"
    for head in range(entropy.shape[1]):
        figure.add_trace(
            go.Scatter(
                x=list(layers), y=entropy[:, head].astype(float), name=f"head {head}", mode="lines+markers",
                line={"width": 1.2, "color": HEAD_COLOURS[head % len(HEAD_COLOURS)]}, marker={"size": 4},
                opacity=0.75, hovertemplate=template,
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=list(layers), y=entropy.mean(axis=1).astype(float), name="mean", mode="lines+markers",
            line={"width": 4, "color": ACCENT}, marker={"size": 8}, hovertemplate=template,
        )
    )  # fmt: skip
    figure.add_vline(x=layer, line={"width": 1, "dash": "dot", "color": "#8b8b8b"})
    figure.add_hline(y=most, line={"width": 1, "dash": "dash", "color": "#8b8b8b"}, annotation_text="even attention")
    figure.update_xaxes(title="layer", tickmode="linear", dtick=1, fixedrange=True)
    figure.update_yaxes(title=unit, range=[0, most * 1.08], fixedrange=True)
    figure.update_layout(
        margin={"l": 52, "r": 8, "t": 8, "b": 44}, hovermode="closest", legend={"orientation": "h", "y": -0.2}
    )
    return figure


def grid_columns(heads: int, rows: int, cols: int) -> int:
    """How many columns make a grid of maps about square."""
    return min(range(1, heads + 1), key=lambda across: abs(np.log(across * cols / (-(-heads // across) * rows))))


def thumbnails(maps: np.ndarray) -> np.ndarray:
    """Maps (..., rows, cols) at no more than THUMBNAIL patches a side: each the mean of a block of patches."""
    rows, cols = maps.shape[-2:]
    block = -(-max(rows, cols) // THUMBNAIL)
    if block == 1:
        return maps
    padding = [(0, 0)] * (maps.ndim - 2) + [(0, -rows % block), (0, -cols % block)]
    padded = np.pad(maps, padding, constant_values=np.nan)
    *lead, high, wide = padded.shape
    blocks = padded.reshape(*lead, high // block, block, wide // block, block)
    return np.nanmean(blocks, axis=(-3, -1)).astype(np.float32)


_CLICKABLE = {
    "hoverdistance": -1,
    "hovermode": "closest",
    "clickmode": "event+select",
    "dragmode": False,
    "showlegend": False,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "plot_bgcolor": "rgba(0,0,0,0)",
    "paper_bgcolor": "rgba(0,0,0,0)",
}


def _heatmap(values: np.ndarray, limit: float, colours: str, *, opacity: float, beside: bool = False) -> go.Heatmap:
    axes = {"xaxis": "x2", "yaxis": "y2"} if beside else {}
    return go.Heatmap(
        z=values.astype(np.float32), zmin=0, zmax=limit, colorscale=colour_stops(colours), opacity=opacity,
        showscale=False, hoverinfo="skip", name="attention", **axes,
    )  # fmt: skip


def _patches(values: np.ndarray, axis: str, name: str) -> go.Scatter:
    rows, cols = values.shape
    down, across = np.mgrid[:rows, :cols]
    return go.Scatter(
        x=across.ravel().astype(np.int16), y=down.ravel().astype(np.int16),
        customdata=values.ravel().astype(np.float32), xaxis=f"x{axis}", yaxis=f"y{axis}", mode="markers", name=name,
        marker={"size": 6, "opacity": 0}, selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
        hovertemplate="row %{y}, col %{x}<br>weight %{customdata:.3%}<extra></extra>",
    )  # fmt: skip


def _query_mark(query: tuple[int, int], axis: str) -> go.Scatter:
    row, col = query
    return go.Scatter(
        x=[col, col], y=[row, row], xaxis=f"x{axis}", yaxis=f"y{axis}", mode="markers", name="query",
        hoverinfo="skip",
        marker={
            "symbol": ["circle-open", "circle-open-dot"], "size": [19, 15], "color": [MARK_EDGE, MARK],
            "line": {"width": [4, 2.5], "color": [MARK_EDGE, MARK]},
        },
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _picture(pixels: np.ndarray, rows: int, cols: int) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": cols, "sizey": rows}
    return {"source": source, "sizing": "stretch", "layer": "below", **place}


def _bare_axes(axis: str, *, rows: int, cols: int, domain: tuple[float, float], pad: float = 0.0) -> dict:
    common = {"visible": False, "fixedrange": True}
    return {
        f"xaxis{axis}": {"range": [-0.5 - pad, cols - 0.5 + pad], "domain": domain, "constrain": "domain", **common},
        f"yaxis{axis}": {
            "range": [rows - 0.5 + pad, -0.5 - pad], "scaleanchor": f"x{axis}", "constrain": "domain",
            "anchor": f"x{axis}", **common,
        },
    }  # fmt: skip


def _steps(rows: int, cols: int) -> tuple[int, int]:
    gutter = max(1, round(max(rows, cols) * GUTTER))
    return rows + gutter, cols + gutter


def _cell_origin(row: int, col: int, rows: int, cols: int) -> tuple[float, float]:
    """(x, y) of a cell's top left corner."""
    step_y, step_x = _steps(rows, cols)
    return col * step_x - 0.5, row * step_y - 0.5


def _frame(row: int, col: int, rows: int, cols: int, last_col: int | None = None) -> dict:
    x, y = _cell_origin(row, col, rows, cols)
    right = _cell_origin(row, col if last_col is None else last_col, rows, cols)[0] + cols
    pad = _frame_pad(rows, cols) / 2
    edge = {"x0": x - pad, "y0": y - pad, "x1": right + pad, "y1": y + rows + pad}
    return {"type": "rect", **edge, "line": {"width": 2.5, "color": ACCENT}}


def _frame_pad(rows: int, cols: int) -> float:
    """Room for the frame of the chosen cell, in patches."""
    return max(rows, cols) * GUTTER


def _mosaic(
    cells: np.ndarray,
    places: Sequence[tuple[int, int]],
    data: Sequence[tuple[int, ...]],
    colours: str,
    labels: Sequence[str],
) -> go.Figure:
    """Cells (down, across, rows, cols), scaled to 0..1, in one heatmap; a marker with `data` at each of the places."""
    down, across, rows, cols = cells.shape
    step_y, step_x = _steps(rows, cols)
    canvas = np.full((down * step_y, across * step_x), np.nan, dtype=np.float32)
    canvas.reshape(down, step_y, across, step_x)[:, :rows, :, :cols] = cells.transpose(0, 2, 1, 3)
    canvas = canvas[: down * step_y - (step_y - rows), : across * step_x - (step_x - cols)]
    figure = go.Figure(_heatmap(canvas, 1.0, colours, opacity=1.0))
    figure.add_trace(
        go.Scatter(
            x=[col * step_x + (cols - 1) / 2 for _, col in places],
            y=[row * step_y + (rows - 1) / 2 for row, _ in places],
            customdata=[list(entry) for entry in data], text=list(labels), mode="markers", name="cells",
            marker={"size": 6, "opacity": 0}, selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}}, hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    high, wide = canvas.shape
    axes = _bare_axes("", rows=high, cols=wide, domain=(0.0, 1.0), pad=_frame_pad(rows, cols))
    figure.update_layout(**axes, **_CLICKABLE)
    return figure
