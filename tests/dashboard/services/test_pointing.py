"""Heads ranked by how they find an object: the engine's numbers, and the model is never run for them."""

from typing import Any

import pandas as pd
import pytest

import vit_engine as ve
from dashboard.services import memory, pictures
from dashboard.services.gradients import GradientRequest
from dashboard.services.maps import MapRequest
from dashboard.services.pointing import rank
from tests.dashboard.support import ignore, request

BOX = (0.1, 0.2, 0.6, 0.7)


def asked(method: str = "raw", **choices: Any) -> MapRequest:
    picture = request(pictures.sample_picture("scene_1"), "demo_vit_p16", 96)
    return MapRequest(picture, picture.analyse(ignore), ve.find_method(method), **{"layer": 3} | choices)


def ranked(shown: MapRequest, *, every: bool = False) -> pd.DataFrame:
    return rank(shown, BOX, name=BOX, every=every)


def test_heads_are_ranked_as_the_engine_ranks_them() -> None:
    shown = asked(query=(2, 3))
    expected = ve.rank_pointing(shown.analysis.trace, BOX, query=(2, 3))
    pd.testing.assert_frame_equal(ranked(shown), expected)
    assert len(expected) == 24


@pytest.mark.usefixtures("fresh_caches")
def test_all_at_hand_is_what_needs_no_further_run_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = asked()
    assert set(ranked(shown, every=True)["method"]) == {"raw", "column", "value_weighted"}
    GradientRequest(shown.request.picture, shown.spec, shown.request.size, "3").analyse(ignore)
    asked("rollout").analyse(ignore)
    monkeypatch.setattr(memory, "load_model", None)
    frame = ranked(asked(target="3"), every=True)
    assert set(frame["method"]) == {"raw", "column", "value_weighted", "rollout", "attention_gradient"}
    assert frame["share"].is_monotonic_decreasing
    assert len(frame) == 4 * 24 + 1
    assert set(ranked(shown)["method"]) == {"raw"}


def test_a_method_without_heads_stands_among_those_of_raw_attention() -> None:
    shown = asked("rollout")
    row = shown.analyse(ignore)[3].map
    frame = ranked(shown)
    assert frame["method"].value_counts().to_dict() == {"raw": 24, "rollout": 1}
    rollout = frame[frame["method"] == "rollout"].iloc[0]
    assert rollout["share"] == pytest.approx(ve.pointing(row, BOX).share)
    assert (rollout["layer"], pd.isna(rollout["head"])) == (3, True)
