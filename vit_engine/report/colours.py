"""Colour scales: perceptually uniform ones for attention, a diverging one for differences."""

from functools import cache

import numpy as np
from plotly.colors import get_colorscale, hex_to_rgb

COLOUR_SCALES = ("inferno", "viridis", "cividis", "magma", "turbo")
Stops = list[tuple[float, str]]

# Blue is less, orange is more: told apart by the colour-blind. Nothing is drawn where there is no difference.
_LESS, _MORE = (30, 136, 229), (245, 124, 0)
_STEPS = 16


def colour_stops(name: str) -> Stops:
    """A colour scale as (place 0..1, "rgb(r, g, b)") stops.

    Never as hex: Streamlit's theme takes colours such as #000004, where inferno begins, for
    placeholders and puts its own in their place.
    """
    return list(_stops(name))


@cache
def _stops(name: str) -> tuple[tuple[float, str], ...]:
    """Plotly lists all of its scales at each look for one."""
    return tuple(
        (place, f"rgb{hex_to_rgb(colour)}" if colour.startswith("#") else colour)
        for place, colour in get_colorscale(name)
    )


def diverging_stops() -> Stops:
    """From less to more: "rgba(r, g, b, a)" stops, clear in the middle and stronger towards the ends."""
    stops = []
    for step in range(-_STEPS, _STEPS + 1):
        red, green, blue = _LESS if step < 0 else _MORE
        stops.append(((step / _STEPS + 1) / 2, f"rgba({red}, {green}, {blue}, {(abs(step) / _STEPS) ** 0.7:.3f})"))
    return stops


def upper_limit(values: np.ndarray, percentile: float) -> float:
    """Where a colour scale that starts at 0 ends: a percentile of the values, above 0."""
    finite = values[np.isfinite(values)]
    limit = float(np.percentile(finite, percentile)) if finite.size else 0.0
    return limit if limit > 0 else max(float(finite.max(initial=0.0)), 1e-12)
