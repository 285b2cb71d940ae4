"""What tests of models on the hub share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vit_engine.weights.hub_models import dinov2_files
from tests.vit_engine.weights.hub_server import Hub, Repo, hub_in_use

NAME = "meta/dinov2-tiny"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with one model, which transformers saved."""
    monkeypatch.chdir(tmp_path)  # no folder here is called as a model there
    with hub_in_use(monkeypatch, tmp_path / "huggingface") as hub:
        hub.repos[NAME] = Repo(dict(dinov2_files()))
        yield hub
