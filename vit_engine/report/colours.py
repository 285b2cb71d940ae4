"""Colours: perceptually uniform scales for attention, a diverging one for differences, and those of marks."""

import numpy as np

Stops = list[tuple[float, str]]

ACCENT = "#14b8a6"
MARK, MARK_EDGE = "#ffffff", "#111111"  # thin and bright over wide and dark: seen on every colour

# At even steps, as Plotly has them. Inferno, viridis and magma: Smith and van der Walt 2015; cividis: Nuñez et al.
# 2018; turbo: Mikhailov 2019.
_SCALES = {
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0402",
}
COLOUR_SCALES = tuple(_SCALES)
# Blue is less, orange is more: told apart by the colour-blind. Nothing is drawn where there is no difference.
_LESS, _MORE = (30, 136, 229), (245, 124, 0)
_STEPS = 16


def colour_stops(name: str) -> Stops:
    """A colour scale as (place 0..1, "rgb(r, g, b)") stops.

    Never as hex: Streamlit's theme takes colours such as #000004, where inferno begins, for
    placeholders and puts its own in their place.
    """
    colours = [tuple(bytes.fromhex(colour)) for colour in _SCALES[name].split()]
    width = 1 / (len(colours) - 1)
    return [(step * width, f"rgb{colour}") for step, colour in enumerate(colours)]


def diverging_stops() -> Stops:
    """From less to more: "rgba(r, g, b, a)" stops, clear in the middle and stronger towards the ends."""
    stops = []
    for step in range(-_STEPS, _STEPS + 1):
        red, green, blue = _LESS if step < 0 else _MORE
        stops.append(((step / _STEPS + 1) / 2, f"rgba({red}, {green}, {blue}, {(abs(step) / _STEPS) ** 0.7:.3f})"))
    return stops


def gradient(stops: Stops) -> str:
    """A colour scale from left to right, as a background in CSS."""
    return f"linear-gradient(to right, {', '.join(f'{colour} {100 * place:.4g}%' for place, colour in stops)})"


def coloured(values: np.ndarray, low: float, high: float, stops: Stops) -> np.ndarray:
    """Values of any shape as colours, float64 (..., 4): red, green and blue in 0..255, opacity in 0..1; 0 for NaN."""
    places = [place for place, _ in stops]
    channels = np.array([_channels(text) for _, text in stops]).T
    where = np.clip((np.nan_to_num(values, nan=low).astype(np.float64) - low) / (high - low), 0, 1)
    mixed = np.stack([np.interp(where, places, channel) for channel in channels], axis=-1)
    mixed[np.isnan(values), 3] = 0
    return mixed


def _channels(colour: str) -> tuple[float, float, float, float]:
    """Of "rgb(r, g, b)" or "rgba(r, g, b, a)"."""
    red, green, blue, *rest = (float(part) for part in colour[colour.index("(") + 1 : -1].split(","))
    return red, green, blue, rest[0] if rest else 1.0


def rgb_stops() -> Stops:
    """Red, green and blue side by side: what the channels of an image stand for."""
    colours = ("rgb(255, 0, 0)", "rgb(0, 255, 0)", "rgb(0, 0, 255)")
    return [(place / 3, colour) for number, colour in enumerate(colours) for place in (number, number + 1)]


def limits(values: np.ndarray, percentile: float) -> tuple[float, float]:
    """Where a colour scale of values of any sign begins and ends: as far from the extremes at either end."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (100 - percentile, percentile)) if finite.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def upper_limit(values: np.ndarray, percentile: float) -> float:
    """Where a colour scale that starts at 0 ends: a percentile of the values, above 0. NaN are left out."""
    finite = values[np.isfinite(values)]
    limit = float(np.percentile(finite, percentile)) if finite.size else 0.0
    return limit if limit > 0 else max(float(finite.max(initial=0.0)), 1e-12)
