"""A link reopens exactly this comparison; what is stale or made by hand is clamped and reported."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.compare.state import DEFAULT
from dashboard.links.selection import DEFAULT as SHARED
from dashboard.services.checkpoints import folder, user_models
from dashboard.testing import click_pane, drag_zoom, open_app, open_compare
from tests.dashboard.checkpoints import save_checkpoint
from tests.dashboard.compare.fixtures_compare import (
    P8,
    P16,
    PICTURE,
    SIZE,
    assert_maps,
    assert_works,
    figure_of,
    opened,
    panes_of,
    picture_link,
    press,
)
from tests.dashboard.support import DETAILS, ignore, noise_png, small_trace
from vit_engine.trace import attend


def warnings(at: AppTest) -> str:
    """All that is told above the page, without its escapes."""
    return "\n".join(one.value for one in at.warning).replace("\\", "")


def reopened(at: AppTest) -> AppTest:
    """The link of a page in a new session: the same in everything that is drawn."""
    again = open_compare(**at.query_params)
    assert_works(again)
    assert dict(again.query_params) == dict(at.query_params)
    assert again.get_by_key(keys.COMPARISON).proto.spec == at.get_by_key(keys.COMPARISON).proto.spec
    for key in (keys.AGREEMENT, keys.COMPARE_HEADS):
        assert again.dataframe(key=key).value.equals(at.dataframe(key=key).value)
    assert again.get_by_key(keys.DISTRIBUTION).proto.spec == at.get_by_key(keys.DISTRIBUTION).proto.spec
    assert not again.warning
    return again


def test_the_shortest_link_names_the_panes_and_what_they_are_of() -> None:
    at = opened()
    assert dict(at.query_params) == {**picture_link(), "pane": [P8, P16]}
    reopened(at)


def test_everything_on_the_page_comes_back_from_its_link() -> None:
    at = opened(P8, P16, f"{P16}:raw:cls")
    at = click_pane(at, y=72, x=40)
    at = drag_zoom(at, top=20, left=30, bottom=70, right=60)
    press(at, keys.PANE_REFERENCE, 1)
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("mask")
    at.segmented_control(key=keys.COMPARE_SCALE).set_value("log")
    at.select_slider(key=keys.COMPARE_KEEP).set_value(85)
    at.selectbox(key=keys.STATISTIC).set_value("distance_fraction")
    at.segmented_control(key=keys.COMPARE_ROWS).set_value("all")
    at.segmented_control(key=keys.COMPARE_ORDER).set_value("difference")
    at.segmented_control(key=keys.COMPARE_CHART).set_value("violin")
    at.slider(key=keys.OPACITY).set_value(35)
    at.selectbox(key=keys.COLOURS).set_value("turbo")
    at.select_slider(key=keys.CLIP).set_value(98).run()
    again = reopened(at)
    link = {name: value for name, value in again.query_params.items() if name not in {"picture", "query", "zoom"}}
    assert link == {
        "size": "96",
        "opacity": "35",
        "colours": "turbo",
        "clip": "98",
        "pane": [P8, P16, f"{P16}:raw:cls"],
        "reference": "B",
        "show": "mask",
        "pane_scale": "log",
        "keep": "85",
        "statistic": "distance_fraction",
        "rows": "all",
        "order": "difference",
        "chart": "violin",
    }


def test_what_is_set_back_to_the_default_leaves_the_link() -> None:
    at = opened(P8, P16, show="mask", pane_scale="log", keep="85", rows="all", chart="violin", reference="B")
    at.segmented_control(key=keys.COMPARE_SHOW).set_value(DEFAULT.show)
    at.segmented_control(key=keys.COMPARE_SCALE).set_value(DEFAULT.scale)
    at.select_slider(key=keys.COMPARE_KEEP).set_value(DEFAULT.keep)
    at.segmented_control(key=keys.COMPARE_ROWS).set_value(DEFAULT.rows)
    at.segmented_control(key=keys.COMPARE_CHART).set_value(DEFAULT.chart).run()
    press(at, keys.PANE_REFERENCE, 0)
    assert dict(at.query_params) == {**picture_link(), "pane": [P8, P16]}


@pytest.mark.parametrize(
    ("asked", "shown", "words"),
    [
        (["demo_vit_p8:11:9", P16], ["demo_vit_p8:5:3", P16], ["'demo_vit_p8:11:9'", "using demo_vit_p8:5:3"]),
        (["gone:1:mean", P16, P8], [P16, P8], ["'gone'", "left out"]),
        (["nonsense", P16], [P16, P8], ["'nonsense'", "at least 2 panes"]),
        ([P16] * 9, [P16] * 8, ["9 panes", "first 8"]),
    ],
)
@pytest.mark.usefixtures("fresh_caches")
def test_stale_panes_are_clamped_and_told_once_though_the_page_runs_again_to_fill_them(
    asked: Sequence[str], shown: list[str], words: list[str]
) -> None:
    at = opened(*asked)
    assert all(word in warnings(at) for word in words)
    assert panes_of(at) == shown
    assert list(at.query_params["pane"]) == shown
    assert_maps(at, *shown)
    assert not at.run().warning
    assert_maps(at, *shown)


def test_faults_of_all_parts_are_told_together_and_the_link_becomes_one_that_needs_no_notice() -> None:
    at = opened("demo_vit_p8:7:mean", P16, show="x", keep="61", zoom="1,2", query="9,9", clip="91")
    for word in ("demo_vit_p8:7:mean", "show 'x'", "keep '61'", "zoom '1,2'", "query '9,9'", "clip '91'"):
        assert word in warnings(at)
    reopened(at)


@pytest.mark.parametrize("name", ["pane", "show", "zoom", "statistic", "reference"])
def test_a_link_cannot_put_pictures_or_markup_on_the_page(name: str) -> None:
    link = {"pane": [P16, P16], name: "![x](http://a.example/b.png):red[c]$d$"}
    at = open_compare(**picture_link(), **link)
    (notice,) = at.warning
    for markup in ("![x]", "](", ":red[", "$d$"):
        assert markup not in notice.value.replace("\\]", "")


def test_a_picture_that_is_no_longer_held_is_told_and_the_rest_is_kept() -> None:
    missing = "ab" * 32
    at = open_compare(picture=f"sha256:{missing}", size="96", pane=["demo_vit_p16:2:1", P16], show="mask", keep="35")
    assert "upload it again" in warnings(at)
    assert missing[:12] in warnings(at)
    assert_works(at)
    assert panes_of(at) == ["demo_vit_p16:2:1", P16]
    assert (at.query_params["show"], at.query_params["keep"]) == ("mask", "35")
    expected = small_trace(picture=SHARED.picture).attention_map(2, 1, "cls").values
    np.testing.assert_allclose(figure_of(at)["attention A"]["customdata"], expected, **DETAILS)
    assert not at.run().warning


def test_a_step_back_in_the_browser_brings_the_earlier_comparison() -> None:
    at = opened(P8, P16)
    before = dict(at.query_params)
    press(at, keys.ADD_PANE)
    for name, value in before.items():
        at.query_params[name] = value
    at.run()
    assert panes_of(at) == [P8, P16]
    assert not at.warning


def test_parameters_of_others_stay_in_the_address() -> None:
    at = opened(P8, P16, utm_source="mail")
    press(at, keys.ADD_PANE)
    assert at.query_params["utm_source"] == "mail"


ONE, TWO = "file:run/one.pth@1", "file:run/two.pth@2"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of checkpoints: one of one layer and one head, one of three layers and two heads."""
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    save_checkpoint(tmp_path / "run" / "one.pth", 1, depth=1)
    save_checkpoint(tmp_path / "run" / "two.pth", 2, depth=3)
    return tmp_path


@pytest.mark.usefixtures("fresh_caches")
def test_own_checkpoints_are_panes_and_a_link_reopens_them_where_nobody_has_added_them_yet(root: Path) -> None:
    panes = (f"{ONE}:0:0", f"{TWO}:-1:1", f"{TWO}:1:mean:raw:0.5,0.25", f"{ONE}:0")
    at = opened(*panes)
    assert not at.warning
    assert panes_of(at) == [f"{ONE}:0:0", f"{TWO}:2:1", f"{TWO}:1:mean", f"{ONE}:0:mean"]
    drawn = figure_of(at)
    traces = {name: trace_in_folder(root, name) for name in (ONE, TWO)}
    expected = [
        traces[ONE].attention_map(0, 0),
        traces[TWO].attention_map(2, 1),
        traces[TWO].attention_map(1, "mean", (3, 1)),
        traces[ONE].attention_map(0, "mean"),
    ]
    for name, one in zip("ABCD", expected, strict=True):
        np.testing.assert_allclose(drawn[f"attention {name}"]["z"], one.values, **DETAILS)
    reopened(at)


def trace_in_folder(root: Path, name: str) -> ve.AttentionTrace:
    """What the engine says of the picture in a checkpoint of the folder, not through the dashboard."""
    path, _, heads = name.removeprefix("file:").partition("@")
    loaded = ve.load_model(root / path, heads=int(heads))
    return attend(loaded, ve.prepare_image(ve.open_image(PICTURE), loaded.spec, size=SIZE))


@pytest.mark.usefixtures("fresh_caches")
def test_a_model_of_one_layer_and_one_head_can_be_compared_and_changed(root: Path) -> None:
    at = opened(f"{ONE}:0:0", f"{ONE}:0:mean")
    assert root
    assert at.slider(key="pane_layer_0").disabled
    assert at.button(key=f"{keys.PRESET}_layers").disabled
    assert at.button(key=f"{keys.PRESET}_heads").disabled
    at.selectbox(key="pane_head_1").set_value("max").run()
    at.selectbox(key="pane_model_1").set_value("demo_vit_p16").run()
    assert_works(at)
    assert panes_of(at) == [f"{ONE}:0:0", "demo_vit_p16:5:max"]


@pytest.mark.usefixtures("fresh_caches")
def test_a_checkpoint_that_is_gone_is_told_with_its_reason_and_the_other_panes_are_kept(root: Path) -> None:
    shutil.rmtree(root / "run")
    at = opened(f"{TWO}:1:0", P16, P8)
    assert "run/two.pth" in warnings(at)
    assert "left out" in warnings(at)
    assert_maps(at, P16, P8)
    assert str(root) not in warnings(at)


@pytest.mark.usefixtures("fresh_caches")
def test_a_checkpoint_that_goes_while_it_is_shown_gives_its_place_to_the_default(root: Path) -> None:
    at = opened(f"{TWO}:1:0", P16)
    (root / "run" / "two.pth").unlink()
    at.run()
    assert_works(at)
    assert TWO in warnings(at)
    assert panes_of(at) == ["demo_vit_p8:1:0", P16]
    assert_maps(at, "demo_vit_p8:1:0", P16)
    assert not at.run().warning


@pytest.mark.usefixtures("fresh_caches")
def test_a_first_visit_after_the_model_of_explore_went_begins_at_the_default(root: Path) -> None:
    user_models.add(TWO, ignore)
    at = open_app(**picture_link(noise_png(71)), model=TWO)
    assert at.selectbox(key=keys.MODEL).value == TWO
    (root / "run" / "two.pth").unlink()
    at.query_params.clear()
    at.switch_page("views/compare.py").run()
    assert_works(at)
    assert {pane.partition(":")[0] for pane in panes_of(at)} == {"demo_vit_p8", "demo_vit_p16"}
