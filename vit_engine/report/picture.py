"""All panes as one PNG, as they are shown, twice as large."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vit_engine.report.drawing import PAPER, View, coloured, pane_pixels
from vit_engine.report.figure import ACCENT, Zoom
from vit_engine.report.legend import WARNING, Legend, common_legend, legends
from vit_engine.report.lettering import lettering, wrapped
from vit_engine.report.panels import Panel

INK, QUIET, ALARM, EMPTY = "#1f2430", "#5b6270", "#b3261e", "#f1efeb"
TEXT, LINE, GAP, STRIP = 26, 38, 32, 18  # pixels: letters, lines, between panes, a colour scale's height
NARROWEST = 520  # of what has a title, in pixels
MOST_IN_A_ROW = 4

Line = tuple[str, str]  # a text and its ink


def picture(
    drawn: Sequence[Panel], *, frame: tuple[int, int], opacity: float, caption: str = "", zoom: Zoom | None = None
) -> bytes:
    """The panes as a PNG, each under its title, with what their colours stand for; more than four in two rows.

    frame: the scaled picture (height, width) in pixels. opacity: of the colours, 0..1. caption: above all of
    them. zoom: the part of the picture that is shown, (top, left, bottom, right) in its pixels.
    """
    view = View.of(frame, zoom)
    across = len(drawn) if len(drawn) <= MOST_IN_A_ROW else math.ceil(len(drawn) / 2)
    width = max(view.shape[1], NARROWEST)
    common = common_legend(drawn)
    each = [None] * len(drawn) if common else legends(drawn)
    panes = [_pane(panel, legend, view, opacity, width) for panel, legend in zip(drawn, each, strict=True)]
    rows = [_beside(panes[start : start + across]) for start in range(0, len(panes), across)]
    whole = max(row.width for row in rows)
    parts = [_text([(caption, INK)], whole)] if caption else []
    parts += [*rows, *([_legend(common, min(whole, 2 * NARROWEST))] if common else [])]
    buffer = io.BytesIO()
    _below(parts, margin=GAP).save(buffer, "PNG")
    return buffer.getvalue()


def _pane(panel: Panel, legend: Legend | None, view: View, opacity: float, width: int) -> list[Image.Image]:
    """Title, map, and legend if it has its own."""
    lines = [(panel.title, INK), *([(WARNING, ALARM)] if panel.random else [])]
    shown = _absent(panel, view, width) if panel.message else Image.fromarray(pane_pixels(panel, view, opacity))
    return [_titled(panel.name, lines, width), shown, *([_legend(legend, width)] if legend else [])]


def _absent(panel: Panel, view: View, width: int) -> Image.Image:
    """Why there is no map, in its place."""
    place = Image.new("RGB", (width, view.shape[0]), EMPTY)
    said = _text([(panel.message, QUIET)], width - 2 * GAP, paper=EMPTY)
    place.paste(said, (GAP, max((place.height - said.height) // 2, 0)))
    return place


def _titled(name: str, lines: Sequence[Line], width: int) -> Image.Image:
    """A pane's letter in a box, and lines beside it."""
    box = round(LINE * 1.1)
    text = _text(lines, width - box - TEXT // 2)
    title = Image.new("RGB", (width, max(text.height, box)), PAPER)
    draw = ImageDraw.Draw(title)
    draw.rounded_rectangle((0, 0, box - 1, box - 1), radius=8, fill=ACCENT)
    letter, font = lettering(name, TEXT)
    draw.text((box / 2, box / 2), letter, fill="white", font=font, anchor="mm")
    title.paste(text, (box + TEXT // 2, 2))
    return title


def _text(lines: Sequence[Line], width: int, *, paper: str | tuple[int, int, int] = PAPER) -> Image.Image:
    """Lines under each other, broken where they are wider than this."""
    fitted = []
    for text, ink in lines:
        written, font = lettering(text, TEXT)
        fitted += [(line, ink, font) for line in wrapped(written, font, width)]
    image = Image.new("RGB", (width, LINE * max(len(fitted), 1)), paper)
    draw = ImageDraw.Draw(image)
    for number, (line, ink, font) in enumerate(fitted):
        draw.text((0, number * LINE + (LINE - TEXT) // 2), line, fill=ink, font=font)
    return image


def _legend(legend: Legend, width: int) -> Image.Image:
    """A strip of all colours, its ends, and below them the unit."""
    image = Image.new("RGB", (width, STRIP + 2 * LINE), PAPER)
    colours, cover = coloured(np.linspace(0, 1, width), 0.0, 1.0, legend.stops)
    cover = cover[:, None]
    strip = np.round(np.array(PAPER) * (1 - cover) + colours * cover).astype(np.uint8)
    image.paste(Image.fromarray(strip[None].repeat(STRIP, axis=0)), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width - 1, STRIP - 1), outline=QUIET)
    for text, place, anchor in ((legend.low, 0, "la"), (legend.middle, width / 2, "ma"), (legend.high, width, "ra")):
        written, font = lettering(text, TEXT)
        draw.text((place, STRIP + 6), written, fill=INK, font=font, anchor=anchor)
    written, font = lettering(legend.unit, TEXT)
    draw.text((0, STRIP + LINE + 4), written, fill=QUIET, font=font)
    return image


def _beside(panes: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Panes in a row: titles end, maps begin and legends begin at the same heights."""
    heights = [
        max(pane[part].height if part < len(pane) else 0 for pane in panes) for part in range(max(map(len, panes)))
    ]
    widths = [max(part.width for part in pane) for pane in panes]
    row = Image.new("RGB", (sum(widths) + GAP * (len(panes) - 1), sum(heights) + TEXT * (len(heights) - 1)), PAPER)
    left = 0
    for pane, width in zip(panes, widths, strict=True):
        top = 0
        for part, height in zip(pane, heights, strict=False):
            row.paste(part, (left, top))
            top += height + TEXT // 2
        left += width + GAP
    return row


def _below(parts: Sequence[Image.Image], *, margin: int) -> Image.Image:
    """Parts under each other."""
    width = max(part.width for part in parts)
    height = sum(part.height for part in parts) + margin * (len(parts) + 1)
    sheet = Image.new("RGB", (width + 2 * margin, height), PAPER)
    top = margin
    for part in parts:
        sheet.paste(part, (margin, top))
        top += part.height + margin
    return sheet
