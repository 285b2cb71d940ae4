"""Pages ask METHODS: another row is offered, drawn, ranked and linked, and nothing else has to know it."""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import heads
from dashboard.services.pictures import sample_picture
from dashboard.testing import decode_figure, open_app
from tests.dashboard.support import DETAILS, SMALL, analyse, assert_works, head_cells, open_small, small_trace
from vit_engine.analysis import methods
from vit_engine.analysis.methods import Needs
from vit_engine.grid import Query

HEADS = 4


def count(run: ve.Run, *, layer: int, query: Query) -> np.ndarray:
    """Another slope in each layer and head, and for each query."""
    grid = run.trace.grid
    slope = np.arange(grid.patches, dtype=np.float32).reshape(grid.shape) + 1
    by_head = slope ** (1 + np.arange(run.trace.spec.heads, dtype=np.float32))[:, None, None]
    return (by_head / by_head.max() * (layer + 1) / 10 + (0 if query == "cls" else 0.25)).astype(np.float32)


COUNTED = ve.Method(
    "count_2", "Counted", "Counts.", "nobody", "a number of the chosen token", count, unit="things", role="key"
)


def planted(monkeypatch: pytest.MonkeyPatch, *others: ve.Method) -> None:
    monkeypatch.setattr(methods, "METHODS", (ve.METHODS[0], *others))


def texts(at: AppTest) -> str:
    return "\n".join(each.value for each in (*at.main.markdown, *at.main.caption))


def test_where_there_is_one_method_nothing_is_to_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch)
    at = open_small()
    assert_works(at)
    assert not [box for box in at.selectbox if box.key == keys.METHOD]


def test_another_method_is_offered_with_its_source_drawn_and_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, COUNTED)
    at = open_small(query="0.4,0.7", layer="2")
    box = at.selectbox(key=keys.METHOD)
    assert (box.value, box.options) == ("raw", ["Raw attention", "Counted"])
    assert "method" not in at.query_params
    box.set_value("count_2").run()
    assert_works(at)
    assert "**Counted**  \nCounts." in texts(at)
    assert any("<dt>Source</dt><dd>nobody</dd>" in html.proto.body for html in at.get("html"))
    expected = count(ve.Run(small_trace()), layer=2, query=(2, 5))
    drawn = decode_figure(at, keys.OVERLAY)
    np.testing.assert_allclose(drawn["attention"]["z"], expected.mean(axis=0), **DETAILS)
    assert at.query_params["method"] == "count_2"
    assert "Key: **patch row 2, col 5**" in texts(at)
    grid, mosaic = (head_cells(at, key, 6, 8) for key in (keys.HEAD_GRID, keys.MOSAIC))
    for head in range(HEADS):
        scaled = expected[head] / np.percentile(expected, 99.5)
        np.testing.assert_allclose(grid[2, head], scaled, rtol=1e-3)
        np.testing.assert_allclose(mosaic[2, head], scaled, rtol=1e-3)


def test_a_link_opens_a_method_and_says_what_its_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, COUNTED)
    at = open_small(method="count_2", head="1", layer="0")
    expected = count(ve.Run(small_trace()), layer=0, query="cls")[1]
    np.testing.assert_allclose(decode_figure(at, keys.OVERLAY)["attention"]["z"], expected, **DETAILS)
    assert any("Things: a number of the chosen token" in html.proto.body for html in at.get("html"))
    assert "Key: **CLS token** · :small[click a patch to see *its* map]\n:small[· or drag a box]" in texts(at)


def test_a_link_to_a_method_that_there_is_not_opens_raw_attention_and_says_so() -> None:
    at = open_small(method="count_3")
    assert "method 'count_3', which is not available here; using raw" in at.warning[0].value.replace("\\", "")
    raw = small_trace().attention_map(5).values
    np.testing.assert_allclose(decode_figure(at, keys.OVERLAY)["attention"]["z"], raw, **DETAILS)


def test_heads_are_ranked_and_compared_by_the_chosen_method(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, COUNTED)
    at = open_small(method="count_2").switch_page("views/heads.py").run()
    assert not at.exception
    assert at.selectbox(key=keys.METHOD).value == "count_2"
    expected = ve.rank_heads(small_trace(), method="count_2")[0]
    buttons = [at.button(key=f"{keys.RANKED_HEAD}_{place}").label for place in range(5)]
    assert buttons == [f"Layer {entry.layer} · head {entry.head}" for entry in expected.entries]
    assert "The map lies on the fewest patches" in texts(at)
    assert "Key: CLS token." in texts(at)
    order = ve.head_similarity(small_trace(), method="count_2", layers=5)
    drawn = decode_figure(at, keys.SIMILARITY)["divergence"]["z"]
    np.testing.assert_allclose(drawn, order.divergence[np.ix_(order.order, order.order)], atol=1e-6)


def test_similarities_of_two_methods_are_never_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, COUNTED)
    analysis = analyse(sample_picture(SMALL["picture"]), SMALL["model"], 96)
    raw = heads.similarity(analysis, "cls")
    assert heads.similarity(analysis, "cls", method="count_2") is not raw
    assert heads.similarity(analysis, "cls") is raw


def test_a_method_gets_the_model_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def classify(run: ve.Run, *, layer: int, query: Query) -> np.ndarray:
        assert run.loaded is not None
        assert run.prepared is not None
        seen.append(run.loaded.model(run.prepared.tensor[None])[0].argmax().item())
        return count(run, layer=layer, query=query)

    planted(monkeypatch, replace(COUNTED, compute=classify, needs=Needs.MODEL))
    at = open_small(method="count_2")
    assert_works(at)
    likeliest = small_trace().predictions[0].label
    assert {small_trace().spec.class_names[number] for number in seen} == {likeliest}


def test_a_method_without_layer_and_head_has_one_map_and_heads_stay_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(run: ve.Run, *, query: Query) -> np.ndarray:
        return count(run, layer=4, query=query)[:1]

    planted(monkeypatch, replace(COUNTED, compute=whole, depends_on=frozenset({"query"})))
    at = open_small(method="count_2", layer="1", head="2")
    assert_works(at, walk=())
    assert "Counted is one map for all layers and heads." in texts(at)
    expected = count(ve.Run(small_trace()), layer=4, query="cls")[0]
    np.testing.assert_allclose(decode_figure(at, keys.OVERLAY)["attention"]["z"], expected, **DETAILS)
    for key in (keys.MOSAIC, keys.HEAD_GRID, keys.LAYER, keys.HEAD):
        with pytest.raises(KeyError):
            at.get_by_key(key)
    at.switch_page("views/heads.py").run()
    assert not at.exception
    assert "Query: CLS token." in texts(at)


def test_panes_of_another_method_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, *ve.METHODS[1:], COUNTED)
    panes = ["demo_vit_p16:5:mean", "demo_vit_p16:5:mean:count_2"]
    at = open_app(**SMALL, pane=panes).switch_page("views/compare.py").run()
    assert not at.exception
    drawn = decode_figure(at, keys.COMPARISON)
    expected = count(ve.Run(small_trace()), layer=5, query="cls").mean(axis=0)
    np.testing.assert_allclose(drawn["attention B"]["customdata"], expected, **DETAILS)
    assert [text.value.startswith("**Counted** · ") for text in at.main.caption if "entropy" in text.value[:40]] == [
        False,
        True,
    ]
