"""What tokens carry, on a sheet: PNG, PDF, SVG.

picture = TokenPicture(features, prepared.pixels, "cat.jpg")
token_sheet(PcaView((picture,), (ve.pca_map(features),)), kinds=("png", "svg"))
"""

from collections.abc import Sequence

import numpy as np

from vit_engine.report.colours import colour_stops, coloured
from vit_engine.report.painter import TEXT, View, own_settings
from vit_engine.report.panels import WARNING, Panel
from vit_engine.report.sheets import ALARM, GAP, INK, Layout
from vit_engine.report.token_views import OPACITY, MatchesView, TokenPicture, TokenView

_LINE_COLOURS = "turbo"

Corner = tuple[float, float]  # (x, y) of a pane's top left


@own_settings()
def token_sheet(drawn: TokenView, *, kinds: tuple[str, ...] = ("png",)) -> dict[str, bytes]:
    """A view of tokens with its title, what colours mean, and a warning where weights are random: files by kind.

    kinds: of "png", "pdf", "svg". The same view gives the same bytes.
    """
    views = [
        View.of((picture.features.grid.height, picture.features.grid.width), picture.zoom) for picture in drawn.pictures
    ]
    layout = Layout(max(views, key=lambda view: view.shape[1]), OPACITY)
    whole = 2 * (layout.width + GAP) - GAP
    lines = [(line, INK) for line in drawn.lines()]
    if drawn.pictures[0].features.random:
        lines.append((WARNING, ALARM))
    y = layout.text(GAP, GAP, lines, whole) + GAP
    if isinstance(drawn, MatchesView):
        corners, y = _row(layout, y, drawn.rows()[0], views)
        _links(layout, drawn, views, corners)
    else:
        for panels, view in zip(drawn.rows(), views, strict=True):
            _, y = _row(layout, y, panels, [view] * len(panels))
    if legend := drawn.legend():
        y = layout.legend(2 * GAP + layout.width, y - GAP // 2, legend, layout.width) + GAP  # below the maps
    return layout.sheet.files(whole + 2 * GAP, y, kinds)


def _row(layout: Layout, y: int, panels: Sequence[Panel], views: Sequence[View]) -> tuple[list[Corner], int]:
    """Panes side by side, their tops at one height; returns their corners and the y where the next row begins."""
    places = [GAP + number * (layout.width + GAP) for number in range(len(panels))]
    top = max(layout.title(x, y, panel) for x, panel in zip(places, panels, strict=True)) + TEXT // 2
    for x, panel, view in zip(places, panels, views, strict=True):
        layout.sheet.pane(panel, view, 1.0 if panel.image is not None else layout.opacity, x, top)
    return [(x, top) for x in places], top + max(view.shape[0] for view in views) + GAP


def _links(layout: Layout, drawn: MatchesView, views: Sequence[View], corners: Sequence[Corner]) -> None:
    """A line for each pair both of whose patches are in view; the clearest are painted last, over the others."""
    matches, grid = drawn.drawn(), drawn.pictures[0].features.grid
    channels = coloured(
        matches.first[:, 1].astype(np.float64), 0.0, grid.cols - 1.0 or 1.0, colour_stops(_LINE_COLOURS)
    )
    starts, ends = (
        _points(picture, places, view, corner)
        for picture, places, view, corner in zip(
            drawn.pictures, (matches.first, matches.second), views, corners, strict=True
        )
    )
    for start, end, channel in reversed(list(zip(starts, ends, channels, strict=True))):
        if start is not None and end is not None:
            layout.sheet.link(start, end, colour="#" + bytes(channel[:3].round().astype(int).tolist()).hex())


def _points(picture: TokenPicture, places: np.ndarray, view: View, corner: Corner) -> list[Corner | None]:
    """The middles of patches on the sheet; None for what is beyond the part that is shown."""
    middles = (places + 0.5) * picture.features.grid.patch_size
    inside = (middles - (view.top, view.left)) * view.scale
    height, width = view.shape
    return [
        (corner[0] + x, corner[1] + y) if 0 <= y <= height and 0 <= x <= width else None for y, x in inside.tolist()
    ]
