"""What tests of the page Models share."""

from pathlib import Path

import pytest

from dashboard.services.checkpoints import folder
from tests.dashboard.checkpoints import save_checkpoint


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configured folder, with one checkpoint."""
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    save_checkpoint(tmp_path / "run" / "last.pth")
    return tmp_path
