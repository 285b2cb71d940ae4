"""Figures of plain dicts, and pictures in them: a server draws them again and again.

Plotly checks each property of a figure while it is made. That takes tens of milliseconds a chart, and finds nothing
in figures that are always made in the same way: tests hold what is made here against what Plotly makes of it.
"""

import base64
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
import plotly.graph_objects as go
from PIL import Image

Plain = dict[str, Any]
Value = TypeVar("Value", str, np.ndarray)

RECENT_BYTES = 1 << 24
# Plotly's short names of the kinds of numbers that it takes as bytes.
_KINDS = {"int8": "i1", "uint8": "u1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8"}


class PlainFigure(go.Figure):
    """A figure that is checked only once one of its properties is asked for; sent as it is, it never is.

    data: a dict a trace, with NumPy arrays of the kinds that Plotly takes as bytes. layout: a dict. Both as Plotly
    would have them after its checks, and neither is changed afterwards.
    """

    def __init__(self, data: list[Plain], layout: Plain) -> None:
        self._plain: dict[str, Any] | None = {"data": data, "layout": layout}

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there: all that a checked figure has."""
        plain = self.__dict__.get("_plain")
        if plain is None:
            raise AttributeError(name)
        self._plain = None
        super().__init__(plain)
        return getattr(self, name)

    def to_dict(self) -> Plain:
        """What is sent: arrays as bytes in base64, and Plotly's template in the layout."""
        if self._plain is None:
            return super().to_dict()
        data, layout = self._plain["data"], self._plain["layout"]
        return {"data": [_encoded(trace) for trace in data], "layout": {"template": _template(), **layout}}


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encoded(part) for name, part in value.items()}
    if not isinstance(value, np.ndarray) or not value.size:
        return value
    encoded = {
        "dtype": _KINDS[str(value.dtype)],
        "bdata": base64.b64encode(np.ascontiguousarray(value).data).decode("ascii"),
    }
    return encoded if value.ndim == 1 else {**encoded, "shape": str(value.shape)[1:-1]}


@cache
def _template() -> Plain:
    template: Plain = go.Figure().to_dict()["layout"]["template"]
    return template


class Recent(Generic[Value]):
    """Results by what they were made of, bounded in bytes, the least recently used out first; for many threads."""

    def __init__(self, max_bytes: int = RECENT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[tuple, Value] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, pixels: np.ndarray, make: Callable[[], Value], *options: Any) -> Value:
        """What `make` makes of these pixels with these options, from here where it was made lately."""
        key = (hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=32).digest(), pixels.shape, *options)
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._bytes += _size(value)
            while self._bytes > self.max_bytes:
                self._bytes -= _size(self._values.popitem(last=False)[1])
        return value


def _size(value: str | np.ndarray) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else len(value)


_jpegs: Recent[str] = Recent()


def jpeg_address(pixels: np.ndarray, *, quality: int) -> str:
    """A picture as a data: address, encoded once. pixels: uint8 (height, width, 3)."""
    return _jpegs.get(pixels, lambda: _jpeg_address(pixels, quality), quality)


def _jpeg_address(pixels: np.ndarray, quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
