"""A recorded comparison, and models that are run once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import OPTIONS, PANES
from vit_engine.cli import main


@pytest.fixture(scope="module", autouse=True)
def models() -> Iterator[None]:
    """Loads each model once for all these tests, and runs it once on each grid of a picture."""
    load, attend = ve.load_model, ve.attend
    loaded: dict[Any, ve.LoadedModel] = {}
    traces: dict[Any, ve.AttentionTrace] = {}

    def load_once(name: str, **options: Any) -> ve.LoadedModel:
        key = name, options["heads"], options["seed"]
        if key not in loaded:
            loaded[key] = load(name, **options)
        return loaded[key]

    def attend_once(model: ve.LoadedModel, prepared: ve.PreparedImage, **_: Any) -> ve.AttentionTrace:
        report = model.report
        key = report.source, report.sha256, report.part, report.seed, prepared.grid, prepared.sha256
        if key not in traces:
            traces[key] = attend(model, prepared)
        return traces[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ve, "load_model", load_once)
        patch.setattr(ve, "attend", attend_once)
        yield


@pytest.fixture(scope="module")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    panes = [part for text in PANES for part in ("--pane", text)]
    assert main(["compare", str(picture), *panes, *OPTIONS, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A bundle to change."""
    return Path(shutil.copytree(run, tmp_path / "copy"))
