"""What `attend --mask` says of the maps that lie on a mask best."""

from pathlib import Path

import pytest

from vit_engine.analysis.worth.pointing import rank_attributions
from vit_engine.cli import attend_run, main


def test_the_best_map_may_be_of_no_layer_and_no_head(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No head of raw attention lies there better."""
    monkeypatch.setattr(attend_run, "rank_attributions", lambda maps, mask: rank_attributions(maps[-1:], mask))
    options = ["--model", "demo_vit_p16", "--size", "64", "96", "--device", "cpu", "--out", str(tmp_path)]
    options += ["--method", "input_gradient", "--target", "4", "--mask", "0,0,0.5,0.5"]
    assert main(["attend", str(picture), *options]) == 0
    assert "best: input × gradient, " in capsys.readouterr().out
