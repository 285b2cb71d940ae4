"""A run's checkpoints become models together, and Explore steps through them while all else stays."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services import catalogue, limits
from dashboard.services.checkpoints import folder, series, user_models
from dashboard.testing import click_patch, open_models
from tests.dashboard.checkpoints import HEADS, engine_trace_of, save_checkpoint
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small, small_trace

pytestmark = pytest.mark.usefixtures("fresh_caches")
STEPS = (0, 20, 100)


def name(step: int, heads: int = HEADS) -> str:
    return f"file:run1/checkpoint{step:04d}.pth@{heads}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of three checkpoints."""
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    for step in STEPS:
        save_checkpoint(tmp_path / "run1" / f"checkpoint{step:04d}.pth", step)
    return tmp_path


def path(root: Path, step: int) -> Path:
    return root / "run1" / f"checkpoint{step:04d}.pth"


def add_all() -> AppTest:
    at = open_models(**SMALL)
    at.selectbox(key=keys.CHECKPOINT_FILE).set_value("run1/checkpoint0020.pth").run()
    assert at.button(key=keys.ADD_SERIES).label == "Add all 3 of run1"
    assert at.button(key=keys.ADD_SERIES).disabled
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_SERIES).click().run()
    assert not at.exception
    return at


def test_all_are_added_at_once_in_the_order_of_their_numbers(root: Path) -> None:
    assert root
    at = add_all()
    assert "Added 3 models of **run1**" in at.success.values[0]
    assert at.selectbox(key=keys.MODEL).options[:3] == ["run1 · 0", "run1 · 20", "run1 · 100"]
    assert catalogue.series_of(name(20)) == tuple((step, name(step)) for step in STEPS)
    assert keys.ADD_SERIES not in {button.key for button in at.button}


def test_the_slider_steps_through_them_and_layer_head_and_query_stay(root: Path) -> None:
    at = add_all()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    at.switch_page("views/explore.py").run()  # AppTest does not follow a page's own switch
    at.slider(key=keys.LAYER).set_value(1)
    at.segmented_control(key=keys.HEAD).set_value("1").run()
    click_patch(at, row=4, col=6)
    slider = at.select_slider(key=keys.CHECKPOINT_STEP)
    assert (list(slider.options), slider.value) == (["0", "20", "100"], name(20))
    for step in (100, 0):
        at.select_slider(key=keys.CHECKPOINT_STEP).set_value(name(step)).run()
        assert_drawn(at, engine_trace_of(path(root, step)), layer=1, head=1, query=(4, 6))
        assert at.query_params["model"] == at.selectbox(key=keys.MODEL).value == name(step)
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert_drawn(at, small_trace(), layer=1, head=1, query=(4, 6))
    assert keys.CHECKPOINT_STEP not in {slider.key for slider in at.select_slider}


def test_single_models_have_no_slider(root: Path) -> None:
    assert root
    user_models.add(name(20), ignore)
    assert catalogue.series_of(name(20)) == ()
    at = open_small(model=name(20))
    assert keys.CHECKPOINT_STEP not in {slider.key for slider in at.select_slider}


def test_models_of_one_architecture_that_were_added_one_by_one_are_a_series_too(root: Path) -> None:
    for step in (100, 0):
        user_models.add(name(step), ignore)
    assert catalogue.series_of(name(0)) == ((0, name(0)), (100, name(100)))
    user_models.add(name(20, heads=3), ignore)
    assert len(catalogue.series_of(name(0))) == 2
    save_checkpoint(path(root, 40), 40, depth=2)
    user_models.add(name(40), ignore)
    assert len(catalogue.series_of(name(0))) == 2


def test_what_does_not_belong_is_left_out_and_named(root: Path) -> None:
    save_checkpoint(path(root, 40), 40, depth=2)
    path(root, 60).write_bytes(b"<html>")
    (run,) = series.find_series(folder.list_checkpoints().names)
    added = catalogue.add_series(run, name(20), ignore)
    assert added.names == tuple(name(step) for step in STEPS)
    (other, why), (broken, reason) = added.left_out
    assert (other, why) == ("run1/checkpoint0040.pth", "of another architecture")
    assert broken == "run1/checkpoint0060.pth"
    assert "HTML" in reason
    at = add_all_with_faults()
    assert "Left out" in at.success.values[0]


def add_all_with_faults() -> AppTest:
    at = open_models(**SMALL)
    at.selectbox(key=keys.CHECKPOINT_FILE).set_value("run1/checkpoint0020.pth").run()
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    return at.button(key=keys.ADD_SERIES).click().run()


def test_a_long_run_is_added_in_even_steps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (40, 60, 80):
        save_checkpoint(path(root, step), step)
    monkeypatch.setattr(limits, "MAX_SERIES", 3)
    (run,) = series.find_series(folder.list_checkpoints().names)
    assert run.numbers == (0, 20, 40, 60, 80, 100)
    added = catalogue.add_series(run, name(20), ignore)
    assert added.names == (name(0), name(40), name(100))
