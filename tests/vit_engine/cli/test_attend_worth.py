"""What `attend` prints of the worth of maps: on a mask, and to the model."""

from pathlib import Path

import numpy as np
import pytest

import vit_engine as ve
from vit_engine.analysis.worth.pointing import rank_attributions
from vit_engine.cli import attend_run, main
from vit_engine.cli.attend import _faithfulness_lines
from vit_engine.trace.targets import ClassTarget


def test_the_best_map_may_be_of_no_layer_and_no_head(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No head of raw attention lies there better."""
    monkeypatch.setattr(attend_run, "rank_attributions", lambda maps, mask: rank_attributions(maps[-1:], mask))
    options = ["--model", "demo_vit_p16", "--size", "64", "96", "--device", "cpu", "--out", str(tmp_path)]
    options += ["--method", "input_gradient", "--target", "4", "--mask", "0,0,0.5,0.5"]
    assert main(["attend", str(picture), *options]) == 0
    assert "best: input × gradient, " in capsys.readouterr().out


def test_areas_of_a_small_probability_are_no_zeros() -> None:
    random = np.array([[1e-5, 1e-5], [3e-5, 3e-5]])
    curves = np.full(2, 4.5e-5), np.full(2, 1.25e-6), random, random
    measured = ve.Faithfulness(np.array([0.0, 1.0]), *curves, ClassTarget(4, "star"), "blur", "a map")
    areas, _ = _faithfulness_lines(measured, measured)
    assert "insertion 4.5e-05 (random orders 2e-05 ± 1e-05, randomised weights 4.5e-05)" in areas
    assert "deletion 1.25e-06 (random orders " in areas
