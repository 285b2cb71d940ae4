"""Layers by number that all threads share: what a run leaves is never changed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class SharedLayers:
    """Of a frozen dataclass with a field `layers`: nobody may put a layer in or take one out."""

    layers: Mapping[int, Any]

    def _share(self) -> None:
        """Call after the fields are set."""
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "layers": dict(self.layers)}  # a read-only view cannot be pickled or copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._share()
