"""Attention as pictures: arrays in, PIL images out. Pillow and NumPy only.

The scale begins at 0 and ends at a percentile: a single hot patch would blacken all the others.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Inferno (Smith and van der Walt 2015) at ten even steps: perceptually uniform, so equal steps look equal.
_INFERNO = np.array(
    [
        (0x00, 0x00, 0x04),
        (0x1B, 0x0C, 0x41),
        (0x4A, 0x0C, 0x6B),
        (0x78, 0x1C, 0x6D),
        (0xA5, 0x2C, 0x60),
        (0xCF, 0x44, 0x46),
        (0xED, 0x69, 0x25),
        (0xFB, 0x9B, 0x06),
        (0xF7, 0xD1, 0x3D),
        (0xFC, 0xFF, 0xA4),
    ],
    dtype=np.float64,
)
CLIP_PERCENTILE = 99.0
MINIMUM_SIDE = 400  # pixels of a panel's longer side
PAPER, INK, ALARM, MARK = "#ffffff", "#1f2430", "#b3261e", "#00e5ff"

Patch = tuple[int, int]
Panel = tuple[str, Image.Image]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def colour_limit(values: np.ndarray) -> float:
    """The value that the brightest colour stands for: the 99th percentile, above 0 where any value is."""
    return float(np.percentile(values, CLIP_PERCENTILE)) or float(values.max()) or 1.0


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """Values of any shape to inferno, 0 to `limit`, clipped: uint8 (..., 3)."""
    steps = np.linspace(0, limit, len(_INFERNO))
    channels = [np.interp(values, steps, channel) for channel in _INFERNO.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(
    pixels: np.ndarray, values: np.ndarray, *, caption: str, warning: str = "", marked: Patch | None = None
) -> Image.Image:
    """A picture, uint8 (height, width, 3), beside itself under its attention, values (rows, cols).

    caption is printed above, warning too and in red. marked: the query patch (row, col), outlined.
    """
    limit = colour_limit(values)
    cell = max(_cell(values.shape), pixels.shape[0] // values.shape[0])
    heat = _enlarged(colours(values, limit), cell)
    original = Image.fromarray(pixels).resize(heat.size, Image.Resampling.LANCZOS)
    grey = original.convert("L").convert("RGB")
    panels = [
        ("picture", _outlined(original, cell, marked)),
        ("attention", _outlined(_blended(grey, heat), cell, marked)),
    ]
    return _sheet(panels, columns=2, caption=caption, warning=warning, limit=limit)


def head_sheet(maps: np.ndarray, *, caption: str, warning: str = "", marked: Patch | None = None) -> Image.Image:
    """One map a head, maps (heads, rows, cols), on one colour scale, so that heads compare by eye.

    caption, warning and marked are those of `overlay`.
    """
    limit = colour_limit(maps)
    cell = _cell(maps.shape[1:])
    panels = [
        (f"head {head} · peak {values.max():.3g}", _outlined(_enlarged(colours(values, limit), cell), cell, marked))
        for head, values in enumerate(maps)
    ]
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    return _sheet(panels, columns=columns, caption=caption, warning=warning, limit=limit)


def _cell(shape: Sequence[int]) -> int:
    """Pixels a patch takes, for a panel of at least MINIMUM_SIDE."""
    return math.ceil(MINIMUM_SIDE / max(shape))


def _enlarged(coloured: np.ndarray, cell: int) -> Image.Image:
    """Each patch a square of `cell` pixels, with sharp edges: patches are what was measured."""
    return Image.fromarray(coloured.repeat(cell, axis=0).repeat(cell, axis=1))


def _blended(grey: Image.Image, heat: Image.Image) -> Image.Image:
    """Heat laid over a grey picture that stays readable under it."""
    under, over = np.asarray(grey, dtype=np.float32), np.asarray(heat, dtype=np.float32)
    return Image.fromarray((0.3 * under + 0.7 * over).round().astype(np.uint8))


def _outlined(panel: Image.Image, cell: int, patch: Patch | None) -> Image.Image:
    if patch is not None:
        top, left = patch[0] * cell, patch[1] * cell
        frame = (left, top, left + cell - 1, top + cell - 1)
        ImageDraw.Draw(panel).rectangle(frame, outline=MARK, width=max(2, cell // 10))
    return panel


def _sheet(panels: Sequence[Panel], *, columns: int, caption: str, warning: str, limit: float) -> Image.Image:
    """Panels of one size in rows, each under its title; the caption above, the colour scale below."""
    panel_width, panel_height = panels[0][1].size
    text_height = max(16, panel_width * columns // 60)
    font, line, gap = ImageFont.load_default(text_height), round(text_height * 1.6), text_height
    scale = _colour_scale(font, text_height, limit)
    lines = [(caption, INK)] + ([(warning, ALARM)] if warning else [])
    widest_title = math.ceil(max(font.getlength(title) for title, _ in panels))
    across, down = max(panel_width, widest_title) + gap, panel_height + line + gap  # from panel to panel
    top = gap + line * len(lines)
    bottom = top + down * math.ceil(len(panels) / columns)
    widest = max(columns * across - gap, scale.width, *(math.ceil(font.getlength(text)) for text, _ in lines))
    sheet = Image.new("RGB", (widest + 2 * gap, bottom + scale.height + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (text, ink) in enumerate(lines):
        draw.text((gap, gap + number * line), text, fill=ink, font=font)
    for number, (title, panel) in enumerate(panels):
        left, y = gap + number % columns * across, top + number // columns * down
        draw.text((left, y), title, fill=INK, font=font)
        sheet.paste(panel, (left, y + line))
    sheet.paste(scale, (gap, bottom))
    return sheet


def _colour_scale(font: Font, text_height: int, limit: float) -> Image.Image:
    """0, a strip of all colours, the value of the brightest, and what it measures."""
    low, high = "0 ", f" {limit:.2g} or more: attention weight"
    strip = colours(np.linspace(0, 1, 10 * text_height)[None].repeat(text_height, axis=0), 1.0)
    start = math.ceil(font.getlength(low))
    end = start + strip.shape[1]
    scale = Image.new("RGB", (end + math.ceil(font.getlength(high)), round(text_height * 1.3)), PAPER)
    draw = ImageDraw.Draw(scale)
    draw.text((0, 0), low, fill=INK, font=font)
    scale.paste(Image.fromarray(strip), (start, 0))
    draw.text((end, 0), high, fill=INK, font=font)
    return scale
