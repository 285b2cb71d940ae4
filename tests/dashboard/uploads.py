"""Small files for the store of uploaded checkpoints, and what they take of the disk."""

import io
import os
from pathlib import Path

from dashboard.services.checkpoints.uploads import Uploads
from tests.dashboard.support import ignore
from vit_engine.progress import Progress

SIZE = 40_000  # bytes of a file


def keep(
    store: Uploads, seed: int = 0, *, title: str = "mine.pth", size: int = SIZE, progress: Progress = ignore
) -> str:
    """Upload a file of one byte again and again; returns its sha256."""
    return store.keep(io.BytesIO(bytes([seed]) * size), title=title, size=size, progress=progress)


def path_of(store: Uploads, sha256: str) -> Path:
    """Where a file that is held lies."""
    upload = store.find(sha256)
    assert upload is not None
    return upload.path


def everything(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [Path(below, name) for below, _, names in os.walk(folder) for name in names]


def used(folder: Path) -> int:
    """Bytes of all files below a folder, whole or not."""
    return sum(path.lstat().st_size for path in everything(folder))
