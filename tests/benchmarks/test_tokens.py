"""The benchmark of tokens measures what it names."""

import pytest

import vit_engine as ve
from benchmarks import tokens
from benchmarks.contenders import Pictures


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures.of_noise(ve.load_model("demo_vit_p16").spec, size=(64, 64))


def test_runs_are_of_the_same_picture(pictures: Pictures) -> None:
    calls = tokens.runs_of(ve.load_model("demo_vit_p16"), pictures)
    results = {name: call() for name, call in calls.items()}
    facets = {name: each.facet for name, each in results.items() if isinstance(each, ve.Features)}
    assert facets == {"`features(facet='token')`": "token", "`features(facet='key')`": "key"}
    assert isinstance(results["`attend()`"], ve.AttentionTrace)
    assert results["a plain forward pass"].shape[0] == 1  # type: ignore[attr-defined]


def test_views_do_their_work_in_each_turn(pictures: Pictures) -> None:
    kept = ve.features("demo_vit_p16", pictures.prepared[0])
    for call in tokens.views_of(kept).values():
        assert call() is not None
    kept.computed["signs", None] = {}
    seconds = tokens.in_turns(tokens.views_of(kept), 1)
    assert list(kept.computed["signs", None]) == list(range(6)), "signs are computed again"
    assert all(each > 0 for each in seconds.values())
