"""What tests of the user's own checkpoints share."""

from pathlib import Path

import pytest

from dashboard.services.checkpoints import folder
from tests.dashboard.checkpoints import save_checkpoint


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configured folder, with a secret beside it."""
    inside = tmp_path / "checkpoints"
    inside.mkdir()
    save_checkpoint(tmp_path / "secret.pth")
    monkeypatch.setenv(folder.VARIABLE, str(inside))
    return inside
