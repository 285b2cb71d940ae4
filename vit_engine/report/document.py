"""A comparison as one HTML file: the linked figure and its tables, without a server and without a request."""

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from vit_engine.analysis.comparison import Comparison
from vit_engine.report.colours import gradient
from vit_engine.report.figure import GAP, PlainFigure, compare_figure, figure_aspect
from vit_engine.report.panels import WARNING, Legend, Panel
from vit_engine.report.style import Style, Zoom
from vit_engine.report.tables import agreement_html, heads_html
from vit_engine.report.titles import caption, subjects

FIGURE = "comparison"  # the figure's id in the page
PANE_WIDTH = 280  # pixels: narrower panes scroll
# The page may draw what is in it, and ask nobody for anything.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_CONFIG = {"showSendToCloud": False, "displaylogo": False, "responsive": True, "doubleClick": "reset"}

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #131210; --quiet: #6b6862; --line: #dedad3;
  --alarm: #b3261e; --accent: #0d6d66; --on-accent: #fff; }
@media (prefers-color-scheme: dark) { :root { --paper: #131316; --ink: #ecebe8; --quiet: #a3a19b; --line: #303038;
  --alarm: #ff8a80; --accent: #2dd4bf; --on-accent: #131316; } }
body { margin: 0; padding: 24px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.3rem; margin: 0 0 4px; } h2 { font-size: 1.05rem; margin: 32px 0 8px; }
p, dl { margin: 0 0 12px; color: var(--quiet); } dt { float: left; clear: left; margin-right: 8px; color: var(--ink); }
dd { margin: 0; }
.scrolls { overflow-x: auto; margin-bottom: 12px; }
.panes { display: grid; } .panes > * { min-width: 0; overflow-wrap: anywhere; }
.panes b { display: inline-block; min-width: 1.6em; margin-right: 8px; border-radius: 6px; text-align: center;
  background: var(--accent); color: var(--on-accent); }
.alarm { color: var(--alarm); }
.figure { margin: 10px 0; }
.strip { height: 10px; border: 1px solid var(--line); border-radius: 3px; }
.ends { display: flex; justify-content: space-between; font-size: .85rem; }
.unit { color: var(--quiet); font-size: .85rem; }
table { border-collapse: collapse; }
th, td { padding: 4px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
"""


def document(
    drawn: Sequence[Panel],
    comparison: Comparison,
    style: Style,
    *,
    tables: Mapping[str, pd.DataFrame],
    statistic: str,
    link: str,
    zoom: Zoom | None,
) -> str:
    """The page: figure, titles, legends, and the tables. Every text is escaped: names come from strangers' files."""
    figure = compare_figure(drawn, frame=comparison.frame, opacity=style.opacity, zoom=zoom)
    view = f" This view: <code>{escape(link)}</code>" if link else ""
    what, models = subjects(one.pane for one in comparison.results), (panel.title.split(" · ")[0] for panel in drawn)
    title = escape(f"{what[0].upper()}{what[1:]} compared: {', '.join(dict.fromkeys(models))}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(caption(comparison, style))}</p>
{_figure(drawn, figure, figure_aspect(len(drawn), comparison.frame))}
<p>Zoom and move one pane, and all follow; a double click goes back.{view}</p>
<h2>Agreement</h2>
{agreement_html(tables["agreement.csv"])}
<h2>Heads side by side</h2>
{heads_html(tables["side_by_side.csv"], statistic)}
</body>
</html>
"""


def _figure(drawn: Sequence[Panel], figure: PlainFigure, aspect: float) -> str:
    """Titles above, legends below, in columns as wide as the panes."""
    count = len(drawn)
    gap = 100 * GAP / (count + GAP * (count - 1))
    columns = f"grid-template-columns: repeat({count}, minmax(0, 1fr)); column-gap: {gap:.4f}%"
    figure.update_layout(hoverlabel={"bgcolor": "#21201d", "bordercolor": "#21201d", "font": {"color": "#ffffff"}})
    plot = figure.to_html(full_html=False, include_plotlyjs=True, div_id=FIGURE, config=_CONFIG, default_height="100%")
    return f"""<div class="scrolls"><div style="min-width: {count * PANE_WIDTH}px">
<div class="panes" style="{columns}">{"".join(map(_title, drawn))}</div>
<div class="figure" style="aspect-ratio: {aspect:.5f}">{plot}</div>
<div class="panes" style="{columns}">{"".join(_legend(panel.legend) for panel in drawn)}</div>
</div></div>"""


def _title(panel: Panel) -> str:
    warning = f'<div class="alarm">{escape(WARNING)}</div>' if panel.random else ""
    note = f'<div class="unit">{escape(panel.note)}</div>' if panel.note else ""
    return f"<div><b>{escape(panel.name)}</b>{escape(panel.title)}{note}{warning}</div>"


def _legend(legend: Legend | None) -> str:
    if legend is None:
        return "<div></div>"
    ends = "".join(f"<span>{escape(text)}</span>" for text in (legend.low, legend.middle, legend.high) if text)
    strip = f'<div class="strip" style="background: {gradient(legend.stops)}"></div>'
    return f'<div>{strip}<div class="ends">{ends}</div><div class="unit">{escape(legend.unit)}</div></div>'
