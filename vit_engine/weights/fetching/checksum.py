"""Which sha256 a weight file must have, and the check that it has it.

What the registry's row says; else the digits in the file's name (torchvision's and DINOv3's files have
them: "vit_b_16-c867db91.pth"); else what was recorded when the file first came, in `NAME.sha256` beside it.
That is a line as sha256sum writes it, so `sha256sum --check *.sha256` checks a whole folder.
"""

import contextlib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from vit_engine.errors import CheckpointError
from vit_engine.progress import Progress
from vit_engine.spec import Weights

_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
PIECE = 1 << 20


@dataclass(frozen=True)
class Expected:
    """The sha256 that a file must have, and who says so."""

    sha256: str  # hex digits, all 64 or the first ones
    source: str
    unless: str = ""  # what to do if the expectation is what is wrong; empty where it cannot be

    def allows(self, sha256: str) -> bool:
        return sha256.lower().startswith(self.sha256.lower())

    def complaint(self, name: object, got: str, remedy: str) -> str:
        """What is wrong with a file of another sha256, and what to do, without a full stop."""
        advice = f"{remedy}; {self.unless}" if self.unless else remedy
        return f"{name} has sha256 {got}; expected {self.sha256}, {self.source}. {advice}"


def expected_sha256(path: Path, weights: Weights) -> Expected | None:
    """What the file that is at `path`, or will be, must have, where it is known; CheckpointError for a bad record."""
    if weights.sha256:
        return Expected(weights.sha256, "as the registry says")
    if match := _IN_NAME.search(path.name):
        return Expected(match[1], "as its name says")
    record = _record_path(path)
    if not record.exists():
        return None
    digits = record.read_text(encoding="utf-8", errors="replace").split()[:1]
    if not digits or not re.fullmatch(r"[0-9a-fA-F]{64}", digits[0]):
        raise CheckpointError(f"{record} must begin with the 64 hex digits of a sha256; got {digits}. Delete it.")
    unless = f"if the change is meant, delete {record.name} as well"
    return Expected(digits[0].lower(), f"as recorded in {record} when it first came", unless)


def verify(path: Path, weights: Weights, got: str) -> None:
    """CheckpointError unless a file's sha256 is the expected one; where nothing is known of it, it is recorded."""
    expected = expected_sha256(path, weights)
    if expected is None:
        with contextlib.suppress(OSError):  # a cache folder that is read-only
            record_sha256(path, got)
    elif not expected.allows(got):
        remedy = "Install again" if weights.packaged else "Delete the file, and it is downloaded again"
        raise CheckpointError(f"{expected.complaint(path, got, remedy)}.")


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def record_sha256(path: Path, sha256: str) -> None:
    _record_path(path).write_text(f"{sha256}  {path.name}\n", encoding="utf-8")


def file_sha256(path: Path, *, progress: Progress | None = None) -> str:
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done / size, f"checking {path.name}")
    return digest.hexdigest()
