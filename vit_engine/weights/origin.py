"""Where a model was loaded from, so that what was left out of it can be read later."""

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Origin:
    """path: absolute, of a file or folder, with the '#part' that was asked for. module: held weakly: it may go."""

    path: Path | None = None
    module: weakref.ref[nn.Module] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "module": None}  # a weak reference cannot be pickled
