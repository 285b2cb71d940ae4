"""Exports of panes of other methods: their own maps of all heads, named in titles, captions and records."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.vit_engine.report.builders import POINT, a_picture, compared
from vit_engine.analysis import methods
from vit_engine.analysis.comparison import Comparison, faithfulness_table
from vit_engine.analysis.methods import METHODS, Method
from vit_engine.analysis.run import Run
from vit_engine.analysis.worth.faithfulness import Faithfulness
from vit_engine.grid import Query
from vit_engine.report.bundle import files
from vit_engine.report.style import Style
from vit_engine.report.titles import caption, title
from vit_engine.trace.targets import NormTarget


def reverse(run: Run, *, layer: int, query: Query) -> np.ndarray:
    return np.ascontiguousarray(run.trace.head_maps(layer, query)[::-1])


def curves(insertion: float, deletion: float) -> Faithfulness:
    """Flat ones, beside two random orders at 0.2 and 0.4."""
    flat, random = np.ones(3), np.array([[0.2] * 3, [0.4] * 3])
    return Faithfulness(
        np.linspace(0, 1, 3), insertion * flat, deletion * flat, random, random, NormTarget(), "blur", ""
    )


@pytest.fixture
def comparison(monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """The same pane by raw attention and by heads in reverse."""
    other = Method("reverse_2", "In reverse", "Heads in reverse.", "nowhere", "a weight", reverse, role="key")
    monkeypatch.setattr(methods, "METHODS", (*METHODS, other))
    return compared("demo_vit_p16:5:0", "demo_vit_p16:5:0:reverse_2", picture=a_picture())


def test_panes_are_exported_with_the_maps_of_their_own_method(comparison: Comparison) -> None:
    table = faithfulness_table({"B": (curves(0.8, 0.2), curves(0.5, 0.5))})
    heads: dict[str, Any] = {"statistic": "cls_entropy_normalised", "all_layers": False}
    made = files(comparison, Style(), picture=a_picture(), size=96, faithfulness=table, **heads)
    with open_arrays(made["maps.npz"]) as arrays:
        np.testing.assert_array_equal(arrays["B_heads"], arrays["A_heads"][::-1])
        np.testing.assert_array_equal(arrays["B"], arrays["A_heads"][-1])
    assert pd.read_csv(io.BytesIO(made["faithfulness.csv"]))["insertion"].tolist() == [0.8]
    (row,) = json.loads(made["run.json"])["numbers"]["faithfulness"]
    assert (row["pane"], row["insertion"]) == ("B", 0.8)
    assert (row["random_insertion_mean"], row["random_insertion_std"]) == pytest.approx((0.3, 0.1))
    assert (row["randomised_insertion"], row["deletion"], row["randomised_deletion"]) == (0.5, 0.2, 0.5)
    panes = json.loads(made["run.json"])["panes"]
    assert [pane["pane"] for pane in panes] == ["demo_vit_p16:5:0", "demo_vit_p16:5:0:reverse_2"]
    assert panes[1]["map"].startswith("in reverse · layer 5 · head 0 · key patch ")


def open_arrays(data: bytes) -> np.lib.npyio.NpzFile:
    return np.load(io.BytesIO(data))


def test_titles_and_captions_name_the_method_and_what_the_point_is(comparison: Comparison) -> None:
    first, second = map(title, comparison.results)
    assert first.split(" · ")[1:3] == ["layer 5", "head 0"]
    assert second.split(" · ")[1:3] == ["In reverse", "layer 5"]
    assert f"query or key: the point at {POINT[0]:.0%}" in caption(comparison, Style())
