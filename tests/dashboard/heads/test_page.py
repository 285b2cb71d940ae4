"""The page Heads draws the engine's statistics, rankings and divergences; clicks open their heads in Explore."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.heads import figures
from dashboard.heads.figures import DIGITS
from dashboard.services import limits
from dashboard.shell import controls
from dashboard.testing import decode_figure
from tests.dashboard.heads.fixtures_heads import (
    CLOSE,
    EXPLORE,
    HEADS,
    LAST,
    click_cell,
    open_heads,
    similarity_of,
    statistic_of,
)
from tests.dashboard.support import assert_drawn, assert_works, hover_texts, open_small, small_trace
from vit_engine.analysis.rankings import rank_heads
from vit_engine.trace.statistics import STATISTICS

NAMES = ["focused", "local", "global", "unlike", "redundant"]


def texts(at: AppTest) -> list[str]:
    return [element.value for element in (*at.main.markdown, *at.main.caption)]


def buttons(at: AppTest) -> list[str]:
    """Labels of the ranking's buttons in their order."""
    found = {button.key: button.label for button in at.main.button if (button.key or "").startswith(keys.RANKED_HEAD)}
    return [found[f"{keys.RANKED_HEAD}_{place}"] for place in range(len(found))]


def test_the_page_opens_by_itself_with_everything_on_it() -> None:
    at = open_heads()
    assert not at.exception
    assert not at.warning
    assert not at.error
    for key in (keys.STATISTIC_MAP, keys.PROFILE, keys.SIMILARITY):
        assert at.main.get_by_key(key).key == key
    assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL
    assert any("Demo ViT /16" in text for text in texts(at))
    at.run()
    assert not at.exception
    assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL


@pytest.mark.parametrize(
    "name",
    [
        "cls_entropy_normalised",
        "cls_entropy_bits",
        "mean_effective_tokens",
        "distance_px",
        "cls_gini",
        "same_argmax_share",
    ],
)
def test_the_map_is_the_statistic_of_every_head_with_its_unit_and_meaning(name: str) -> None:
    at = open_heads()
    at.selectbox(key=keys.HEADS_STATISTIC).set_value(name).run()
    drawn, values, column = decode_figure(at, keys.STATISTIC_MAP), statistic_of(name), STATISTICS[name]
    np.testing.assert_allclose(drawn["statistic"]["z"], values, **CLOSE)
    assert (drawn["statistic"]["zmin"], drawn["statistic"]["zmax"]) == pytest.approx(
        (values.min(), values.max()), rel=1e-3
    )
    assert drawn["statistic"]["colorbar"]["title"]["text"] == column.unit
    assert any(column.description.split(":")[0] in text for text in texts(at))
    digits, unit = DIGITS[column.unit] + 1, "" if column.unit == "0..1" else f" {column.unit}"
    for (layer, head), text in np.ndenumerate(hover_texts(drawn["statistic"])):
        value = drawn["statistic"]["z"][layer, head]
        assert text == f"layer {layer} · head {head}<br>{column.title}: {value:.{digits}f}{unit}"


def test_every_statistic_but_layer_and_head_can_be_chosen() -> None:
    options = open_heads().selectbox(key=keys.HEADS_STATISTIC).options
    assert len(options) == len(STATISTICS) == 26
    assert {"CLS entropy (bits)", "CLS entropy / max", "distance (px)"} <= set(options)


def test_a_click_in_the_map_opens_that_head_in_explore_and_keeps_the_query() -> None:
    at = click_cell(open_heads(query="0.4,0.7"), keys.STATISTIC_MAP, 3, 1)
    assert_drawn(at, small_trace(), layer=3, head=1, query=(2, 5))


def test_a_click_in_the_matrix_opens_the_rows_head() -> None:
    found = similarity_of(small_trace())
    row, col = (found.order.index(found.heads.index(head)) for head in ((2, 3), (4, 0)))
    at = click_cell(open_heads(similar="all"), keys.SIMILARITY, row, col)
    assert_drawn(at, small_trace(), layer=2, head=3)


@pytest.mark.parametrize("place", [0, 4])
def test_a_ranked_heads_button_opens_it(place: int) -> None:
    entry = rank_heads(small_trace())[0].entries[place]
    at = open_heads()
    at.button(key=f"{keys.RANKED_HEAD}_{place}").click().run()
    assert at.main.get_by_key(keys.OVERLAY).key == keys.OVERLAY  # the page's own switch was followed
    assert_drawn(at.switch_page(EXPLORE).run(), small_trace(), layer=entry.layer, head=entry.head)


@pytest.mark.parametrize(
    ("link", "frame"), [({"layer": "2", "head": "1"}, (0.5, 1.5, 1.5, 2.5)), ({}, (-0.5, 3.5, 4.5, 5.5))]
)
def test_the_head_that_explore_shows_is_framed(link: dict[str, str], frame: tuple[float, ...]) -> None:
    shapes = decode_figure(open_heads(**link), keys.STATISTIC_MAP)["layout"]["shapes"]
    assert {(shape["x0"], shape["x1"], shape["y0"], shape["y1"]) for shape in shapes} == {frame}


def test_coming_back_after_a_click_stays_on_heads() -> None:
    at = click_cell(open_heads(), keys.STATISTIC_MAP, 3, 1)
    at.switch_page(HEADS).run()
    assert at.main.get_by_key(keys.STATISTIC_MAP).key == keys.STATISTIC_MAP


def test_a_head_opens_whatever_model_explore_showed_last() -> None:
    """Its last layer would else become the other model's last one."""
    at = open_small()
    at.switch_page(HEADS).run()
    at.selectbox(key=keys.MODEL).set_value("random_vit_tiny_p16").run()
    at = click_cell(at, keys.STATISTIC_MAP, 5, 2)
    assert_drawn(at, small_trace(model="random_vit_tiny_p16"), layer=5, head=2)


@pytest.mark.parametrize("query", [None, (2, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_rankings_are_the_engines_with_their_reasons(name: str, query: tuple[int, int] | None) -> None:
    at = open_heads(redundant="0.3", **({} if query is None else {"query": "0.4,0.7"}))
    at.segmented_control(key=keys.HEADS_RANKING).set_value(name).run()
    expected = rank_heads(small_trace(), query=query or "cls", redundant_bits=0.3)[NAMES.index(name)]
    assert buttons(at) == [f"Layer {entry.layer} · head {entry.head}" for entry in expected.entries]
    shown = [text for text in texts(at) if text.startswith(":small[")]
    assert shown == [f":small[{entry.reason}]" for entry in expected.entries]
    (caption,) = [text for text in texts(at) if expected.meaning in text]
    of_query = "patch row 2, col 5" if query else "CLS token"
    assert (of_query in caption) == (name not in ("local", "global"))
    assert len(at.main.image) == len(expected.entries)


@pytest.mark.parametrize("query", ["cls", (2, 5)])
def test_small_maps_are_those_of_the_ranked_heads_for_the_query(
    query: str | tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, draw = [], figures.thumbnail
    monkeypatch.setattr(
        figures,
        "thumbnail",
        lambda pixels, values, **look: drawn.append((values, look)) or draw(pixels, values, **look),
    )
    open_heads(opacity="40", colours="turbo", clip="98", **({} if query == "cls" else {"query": "0.4,0.7"}))
    entries = rank_heads(small_trace(), query=query)[0].entries
    assert len(drawn) == len(entries)
    for entry, (values, look) in zip(entries, drawn, strict=True):
        expected = small_trace().attention_map(entry.layer, entry.head, query).values
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-6)
        assert look["limit"] == pytest.approx(np.percentile(expected, 98), rel=1e-3)
        assert (look["opacity"], look["colours"]) == (0.4, "turbo")


def test_where_nothing_is_ranked_the_page_says_why() -> None:
    at = open_heads(ranking="redundant", redundant="0.01")
    assert rank_heads(small_trace(), redundant_bits=0.01)[4].entries == ()
    assert buttons(at) == []
    assert "No two heads are that near" in at.main.info[0].value


def assert_matrix(at: AppTest, layers: list[int], *, ordered: bool, query: str | tuple[int, int] = "cls") -> None:
    whole = similarity_of(small_trace(), query)
    found = whole.of_layer(layers[0]) if len(layers) == 1 else whole
    drawn = decode_figure(at, keys.SIMILARITY)
    order = found.order if ordered else range(len(found.heads))
    heads = [found.heads[place] for place in order]
    np.testing.assert_allclose(drawn["divergence"]["z"], found.divergence[np.ix_(order, order)], atol=1e-4)
    for (row, col), text in np.ndenumerate(hover_texts(drawn["divergence"])):
        pair = "<br>".join(f"layer {layer} · head {head}" for layer, head in (heads[row], heads[col]))
        assert text == f"{pair}<br>{drawn['divergence']['z'][row, col]:.3f} bits apart"


def test_the_matrix_is_the_engines_in_a_layer_or_in_all_and_in_both_orders() -> None:
    at = open_heads()
    assert_matrix(at, [LAST], ordered=True)
    at.slider(key=keys.HEADS_LAYER).set_value(2).run()
    assert_matrix(at, [2], ordered=True)
    at.segmented_control(key=keys.HEADS_ORDER).set_value("number").run()
    assert_matrix(at, [2], ordered=False)
    at.segmented_control(key=keys.HEADS_SCOPE).set_value("all").run()
    assert_matrix(at, list(range(6)), ordered=False)
    at.segmented_control(key=keys.HEADS_ORDER).set_value("cluster").run()
    assert_matrix(at, list(range(6)), ordered=True)
    found = similarity_of(small_trace())
    assert found.order != tuple(range(24))
    assert at.slider(key=keys.HEADS_LAYER).disabled


def test_the_matrix_is_of_the_query_and_says_so() -> None:
    at = open_heads(query="0.4,0.7", similar="all")
    assert_matrix(at, list(range(6)), ordered=True, query=(2, 5))
    assert any("Query: patch row 2, col 5." in text and "Jensen-Shannon" in text for text in texts(at))


@pytest.mark.parametrize("bits", [0.05, 0.3])
def test_redundant_groups_are_framed_and_counted(bits: float) -> None:
    at = open_heads(similar="all")
    at.select_slider(key=keys.HEADS_REDUNDANT).set_value(bits).run()
    found = similarity_of(small_trace())
    groups = found.groups(bits)
    edges = set()
    for group in groups:
        places = [found.order.index(found.heads.index(head)) for head in group]
        edges.add((min(places) - 0.5, max(places) + 0.5))
    shapes = decode_figure(at, keys.SIMILARITY)["layout"].get("shapes", [])
    assert {(shape["x0"], shape["x1"]) for shape in shapes} == edges
    assert all((shape["x0"], shape["x1"]) == (shape["y0"], shape["y1"]) for shape in shapes)
    told = f"{len(groups)} redundant group{'s'[: len(groups) > 1]} of {sum(map(len, groups))} heads, framed."
    assert any((told if groups else "No redundant group.") in text for text in texts(at))


def test_the_thresholds_of_that_test_make_groups() -> None:
    assert len(similarity_of(small_trace()).groups(0.3)) >= 2


def test_tables_are_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, tuple[pd.DataFrame, str]] = {}
    monkeypatch.setattr(controls, "csv_button", lambda frame, name, *, key, **_: files.__setitem__(key, (frame, name)))
    open_heads(statistic="distance_px", similar="all", overlay="random_vit_tiny_p16")
    frame, name = files[keys.DOWNLOAD_STATISTIC]
    assert (list(frame), name) == (["layer", "head", "distance_px"], "distance_px-demo_vit_p16")
    np.testing.assert_allclose(frame["distance_px"], statistic_of("distance_px").ravel(), **CLOSE)
    profile = files[keys.DOWNLOAD_PROFILE][0].groupby("model", sort=False)["distance_px"]
    assert list(profile.groups) == ["demo_vit_p16", "random_vit_tiny_p16"]
    tiny = small_trace(model="random_vit_tiny_p16")
    np.testing.assert_allclose(
        profile.get_group("random_vit_tiny_p16"), statistic_of("distance_px", tiny).ravel(), **CLOSE
    )
    pairs, found = files[keys.DOWNLOAD_SIMILARITY][0], similarity_of(small_trace())
    assert len(pairs) == 24 * 23 / 2
    for row in pairs.iloc[[0, 100, 275]].itertuples():
        one, other = found.heads.index((row.layer, row.head)), found.heads.index((row.other_layer, row.other_head))
        assert one < other
        assert row.divergence_bits == pytest.approx(found.divergence[one, other], abs=1e-4)
    ranked = files[keys.DOWNLOAD_RANKINGS][0]
    expected = [(each.name, entry.layer, entry.head) for each in rank_heads(small_trace()) for entry in each.entries]
    assert list(zip(ranked["ranking"], ranked["layer"], ranked["head"], strict=True)) == expected


def test_downloads_are_there() -> None:
    at = open_heads()
    for key in (keys.DOWNLOAD_STATISTIC, keys.DOWNLOAD_PROFILE, keys.DOWNLOAD_RANKINGS, keys.DOWNLOAD_SIMILARITY):
        assert at.get_by_key(key).proto.label == "CSV"


def test_nothing_on_the_page_runs_the_model_again(runs: list[str]) -> None:
    at = open_heads()
    runs.clear()
    at.selectbox(key=keys.HEADS_STATISTIC).set_value("cls_gini").run()
    at.segmented_control(key=keys.HEADS_SCOPE).set_value("all").run()
    at.segmented_control(key=keys.HEADS_RANKING).set_value("unlike").run()
    at.select_slider(key=keys.HEADS_REDUNDANT).set_value(0.2).run()
    assert not at.exception
    assert runs == []


@pytest.mark.usefixtures("fresh_caches")
def test_an_analysis_that_cannot_be_is_told_and_the_controls_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 47)
    at = open_heads(statistic="distance_px")
    (error,) = at.main.error
    assert "at most 47 patches" in error.value
    assert at.sidebar.get_by_key(keys.SIZE).key == keys.SIZE
    assert at.query_params["statistic"] == "distance_px"
    monkeypatch.setattr(limits, "MAX_PATCHES", 48)
    at.run()
    assert not at.error
    np.testing.assert_allclose(
        decode_figure(at, keys.STATISTIC_MAP)["statistic"]["z"], statistic_of("distance_px"), **CLOSE
    )


def test_explore_still_works_beside_it() -> None:
    at = open_heads(layer="2")
    assert_works(at.switch_page(EXPLORE).run())
