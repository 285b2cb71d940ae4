"""What the server's process holds for all sessions, and that no session can take it from the others."""

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest
import streamlit as st

from dashboard.services import analyses, memory, pictures, process
from dashboard.services.process import once_per_process
from tests.dashboard.support import SMALL, analyse, ignore, noise_png
from vit_engine import VitEngineError
from vit_engine.resources.budget import BUDGET_VARIABLE


def test_a_value_is_made_once_for_all_threads() -> None:
    made, together = [], Barrier(8)

    @once_per_process
    def value() -> object:
        made.append(1)
        return object()

    def read() -> object:
        together.wait()
        return value()

    with ThreadPoolExecutor(8) as pool:
        values = {id(each.result()) for each in [pool.submit(read) for _ in range(8)]}
    assert len(values) == len(made) == 1
    assert value.__name__ == "value"


def test_a_value_may_be_made_of_another_one() -> None:
    inner = once_per_process(lambda: 7)
    outer = once_per_process(lambda: inner() + 1)
    assert outer() == 8


def test_forgotten_values_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_values", {})
    value = once_per_process(object)
    first = value()
    process.forget_all()
    assert value() is not first


@pytest.mark.usefixtures("fresh_caches")
def test_clearing_streamlits_caches_takes_nothing_from_anybody(runs: list[str]) -> None:
    """Any client can send Streamlit's message "clear cache", which does this."""
    picture = pictures.keep_upload(noise_png(1), ignore)
    analyse(picture, SMALL["model"], int(SMALL["size"]), ignore)
    held, traces = memory.in_memory(), analyses.trace_bytes()
    st.cache_resource.clear()
    st.cache_data.clear()
    assert pictures.find_upload(picture.sha256) is picture
    assert memory.in_memory() == held
    assert analyses.trace_bytes() == traces
    analyse(picture, SMALL["model"], int(SMALL["size"]), ignore)
    assert len(runs) == 1


def test_what_a_server_begins_with_is_passed_over_when_garbage_is_collected() -> None:
    gc.unfreeze()
    try:
        analyses.warm_up()
        assert gc.get_freeze_count() > 100_000  # PyTorch's and Plotly's modules alone are more
        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()


def test_work_is_for_the_session_whose_script_asks_and_for_none_in_other_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert process.session() == ""
    monkeypatch.setattr(process, "get_script_run_ctx", lambda **_: SimpleNamespace(session_id="one"))
    assert process.session() == "one"


@pytest.mark.usefixtures("fresh_caches")
def test_a_server_that_cannot_be_warm_passes_over_its_modules_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.unfreeze()
    monkeypatch.setenv(BUDGET_VARIABLE, "lots")
    try:
        with pytest.raises(VitEngineError):
            analyses.warm_up()
        assert gc.get_freeze_count() > 100_000
    finally:
        gc.unfreeze()
