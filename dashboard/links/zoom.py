"""The part of a picture that is shown: in a link, in pixels, and from a box that was drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.links.codec import Instead, Reading, finite

SMALLEST_ZOOM = 0.02  # of a side
_ROUNDING = 2e-4  # of a zoom in a link: its ends have four decimals

Zoom = tuple[float, float, float, float]  # (top, left, bottom, right) as fractions of the scaled picture
WHOLE: Zoom = (0.0, 0.0, 1.0, 1.0)


def read_zoom(text: str, _: Reading) -> Any:
    """Of a link's text, for codec.parameter()."""
    parts = [number for part in text.split(",") if (number := finite(part)) is not None]
    if len(parts) == len(text.split(",")) == 4:
        top, left, bottom, right = parts
        least = SMALLEST_ZOOM - _ROUNDING
        if 0 <= top <= bottom - least and 0 <= left <= right - least and max(bottom, right) <= 1:
            return top, left, bottom, right
    return Instead(words="the whole picture")


def zoom_in_pixels(zoom: Zoom | None, frame: tuple[int, int]) -> Zoom | None:
    """The part that is shown, in pixels of the scaled picture (height, width)."""
    if zoom is None:
        return None
    height, width = frame
    top, left, bottom, right = zoom
    return top * height, left * width, bottom * height, right * width


def zoom_on(box: Mapping[str, Sequence[float]], frame: tuple[int, int]) -> Zoom | None:
    """The least part of the picture's own shape that holds a box {"x": …, "y": …} in pixels; None for a tiny box."""
    height, width = frame
    left, right = sorted(part / width for part in box["x"][:2])
    top, bottom = sorted(part / height for part in box["y"][:2])
    side = max(right - left, bottom - top)
    if side < SMALLEST_ZOOM:
        return None
    side = min(side, 1.0)
    middle_y, middle_x = (top + bottom) / 2, (left + right) / 2
    top, left = (min(max(middle - side / 2, 0.0), 1 - side) for middle in (middle_y, middle_x))
    return round(top, 4), round(left, 4), round(top + side, 4), round(left + side, 4)


def zoom_to(key: str, box: Mapping[str, Sequence[float]], frame: tuple[int, int]) -> dict[str, Zoom | None]:
    """For a callback: what was zoomed or moved to stays, under this key, whatever is drawn next."""
    zoom = zoom_on(box, frame)
    return {} if zoom is None else {key: None if zoom == WHOLE else zoom}
