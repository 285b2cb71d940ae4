"""A pane that cannot be shown says so in its place, and what can be done; the others are drawn."""

import io
import threading
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.compare.panes import MOST_IN_A_ROW
from dashboard.keys import of_pane
from dashboard.services import analyses, catalogue, limits, pictures
from dashboard.testing import click_pane, open_compare
from tests.dashboard.compare.fixtures_compare import (
    P8,
    P16,
    PICTURE,
    assert_maps,
    assert_works,
    engine_map,
    figure_of,
    keys_of,
    opened,
    panes_of,
    picture_link,
    press,
)
from tests.dashboard.downloads import NAME, PATH, PATIENCE, Watched
from tests.dashboard.support import ignore
from tests.vit_engine.weights.serving import Server

ABSENT = f"{NAME}:1:mean"
pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.fixture
def ended(watched: Watched) -> threading.Semaphore:
    """Released at the end of each download."""
    return watched.ended


def messages(at: AppTest) -> list[str]:
    """What stands in the figure in the place of maps."""
    return [note["text"] for note in figure_of(at)["layout"].get("annotations", [])]


def drawn(at: AppTest) -> set[str]:
    return {name for name in figure_of(at) if name.startswith("attention ")}


@pytest.mark.usefixtures("server")
def test_a_model_that_is_not_here_says_so_in_its_pane_and_nothing_is_fetched_unasked(
    server: Server, runs: list[str]
) -> None:
    at = opened(P8, ABSENT, P16)
    assert messages(at) == ["not downloaded"]
    assert figure_of(at)["layout"]["annotations"][0]["xref"] == "x2 domain"
    assert drawn(at) == {"attention A", "attention C"}
    (told,) = [one.value for one in at.info]
    assert "Fetched ViT is not here yet" in told
    assert "about 5.17 MB" in told
    assert of_pane(keys.PANE_DOWNLOAD, 1) in keys_of(at)
    assert of_pane(keys.PANE_DOWNLOAD, 0) not in keys_of(at)
    assert at.dataframe(key=keys.AGREEMENT).value[["first", "second"]].to_numpy().tolist() == [["A", "C"]]
    assert not server.asked
    assert sorted(runs) == ["demo_vit_p16", "demo_vit_p8"]
    assert list(at.query_params["pane"]) == [P8, ABSENT, P16]
    assert (figure_of(at)["attention C"]["customdata"].size, len(runs)) == (engine_map(P16).size, 2)


def test_a_download_shows_how_far_it_is_and_its_pane_appears_when_it_has_come(
    server: Server, ended: threading.Semaphore
) -> None:
    server.files[PATH].held = 20_000
    at = press(opened(P8, ABSENT), keys.PANE_DOWNLOAD, 1)
    assert_works(at)
    assert messages(at) == ["downloading"]
    assert of_pane(keys.PANE_DOWNLOAD, 1) not in keys_of(at)
    at = click_pane(at, y=20, x=12)  # the other panes stay, and answer
    assert drawn(at) == {"attention A"}
    server.gate.set()
    assert ended.acquire(timeout=PATIENCE)
    at.run()
    assert not messages(at)
    assert not at.info
    assert_maps(at, P8, ABSENT, queries=((2, 1), (1, 0)))


def test_a_download_that_fails_says_why_and_can_be_begun_again(server: Server, ended: threading.Semaphore) -> None:
    server.files[PATH].status = 404
    at = press(opened(P8, ABSENT), keys.PANE_DOWNLOAD, 1)
    assert ended.acquire(timeout=PATIENCE)
    at.run()
    (told,) = [one.value for one in at.error]
    assert "no such file" in told
    server.files[PATH].status = 200
    press(at, keys.PANE_DOWNLOAD, 1)
    assert ended.acquire(timeout=PATIENCE)
    assert_maps(at.run(), P8, ABSENT)


@pytest.mark.usefixtures("server")
def test_where_the_reference_is_missing_the_first_pane_that_is_shown_takes_its_place() -> None:
    at = opened(ABSENT, P8, P16, show="difference")
    assert drawn(at) == {"attention B", "attention C"}
    assert "difference" not in figure_of(at)["attention B"]["hovertemplate"]
    assert "difference" in figure_of(at)["attention C"]["hovertemplate"]
    assert at.dataframe(key=keys.AGREEMENT).value["first"].tolist() == ["B"]


@pytest.mark.usefixtures("server")
def test_with_one_pane_or_none_there_is_nothing_to_agree_with_and_the_page_still_works() -> None:
    for panes, there in (((ABSENT, P16), {"attention B"}), ((ABSENT, ABSENT), set())):
        at = opened(*panes)
        assert drawn(at) == there
        assert not {table.key for table in at.dataframe} & {keys.AGREEMENT, keys.COMPARE_HEADS}
        assert list(at.query_params["pane"]) == list(panes)


def test_what_is_too_large_says_so_in_its_pane(monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 12 * 15 - 1)
    at = opened(P8, P16)
    assert messages(at) == ["too large"]
    (error,) = at.error
    assert error.value == "Too large: at most 179 patches are allowed here."
    assert (runs, drawn(at)) == (["demo_vit_p16"], {"attention B"})
    at.selectbox(key=of_pane(keys.PANE_MODEL, 0)).set_value("demo_vit_p16").run()
    assert not at.error
    assert_maps(at, P16, P16)


def kept_bytes() -> int:
    """Of the traces of both demo models on the picture."""
    grids = {"demo_vit_p8": (96, 120), "demo_vit_p16": (96, 112)}
    return sum(ve.estimate(catalogue.models()[name], grid).kept_bytes for name, grid in grids.items())


def test_panes_whose_traces_do_not_fit_beside_each_other_do_not_push_each_other_out(
    monkeypatch: pytest.MonkeyPatch, runs: list[str]
) -> None:
    monkeypatch.setattr(limits, "TRACE_BYTES", kept_bytes() - 1)
    at = opened(P8, P16, "demo_vit_p8:0:0")
    assert runs == ["demo_vit_p8"]
    assert messages(at) == ["too large"]
    assert "with the other panes its trace comes to" in at.error[0].value
    assert drawn(at) == {"attention A", "attention C"}


def test_panes_whose_traces_just_fit_are_drawn(monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> None:
    monkeypatch.setattr(limits, "TRACE_BYTES", kept_bytes())
    assert_maps(opened(P8, P16, "demo_vit_p8:0:0"), P8, P16, "demo_vit_p8:0:0")
    assert runs == ["demo_vit_p8", "demo_vit_p16"]


def test_a_page_whose_panes_are_pushed_out_again_and_again_gives_up_and_says_so(
    monkeypatch: pytest.MonkeyPatch, runs: list[str]
) -> None:
    """As by other sessions: here the store is smaller than the page believes."""
    monkeypatch.setattr(limits, "TRACE_BYTES", kept_bytes() - 1)
    analyses.trace_bytes()  # makes the store
    monkeypatch.setattr(limits, "TRACE_BYTES", kept_bytes())
    at = opened(P8, P16)
    assert_works(at)
    assert len(runs) == MOST_IN_A_ROW
    assert "failed" in messages(at)
    assert "took its place in memory" in at.error[0].value
    assert len(drawn(at)) == 1


def failing(monkeypatch: pytest.MonkeyPatch, *, model: str) -> list[str]:
    """Runs of this model fail as long as the returned list has a reason in it."""
    attend, reasons = ve.attend, ["the *device* is out of memory"]

    def watched(loaded: ve.LoadedModel, *args: Any, **options: Any) -> ve.AttentionTrace:
        if reasons and loaded.spec.name == model:
            raise ve.ResourceError(reasons[0])
        return attend(loaded, *args, **options)

    monkeypatch.setattr(ve, "attend", watched)
    return reasons


def test_an_analysis_that_fails_says_why_the_others_go_on_and_it_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons = failing(monkeypatch, model="demo_vit_p8")
    at = opened(P8, P16)
    assert messages(at) == ["failed"]
    assert at.error[0].value == r"The \*device\* is out of memory"
    assert drawn(at) == {"attention B"}
    at.slider(key=of_pane(keys.PANE_LAYER, 1)).set_value(2).run()  # it is not tried again by itself
    assert messages(at) == ["failed"]
    press(at, keys.PANE_RETRY, 0)
    assert messages(at) == ["failed"]
    reasons.clear()
    press(at, keys.PANE_RETRY, 0)
    assert not at.error
    assert_maps(at, P8, "demo_vit_p16:2:mean")


def test_a_failure_is_of_one_picture_at_one_size_in_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = failing(monkeypatch, model="demo_vit_p8")
    at = opened(P8, P8)
    assert messages(at) == ["failed", "failed"]
    reasons.clear()
    at.selectbox(key=keys.SIZE).set_value(128).run()
    assert not messages(at)
    at.selectbox(key=keys.SIZE).set_value(96).run()
    assert messages(at) == ["failed", "failed"]
    at.selectbox(key=of_pane(keys.PANE_MODEL, 1)).set_value("demo_vit_p16").run()
    assert drawn(at) == {"attention B"}


def test_a_picture_that_cannot_be_analysed_is_told_in_every_pane_and_another_still_works() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (2600, 100)).save(buffer, "PNG")
    at = open_compare(**picture_link(buffer.getvalue()), pane=[P8, P16])
    assert_works(at)
    assert messages(at) == ["not possible"] * 2
    assert all("2600×100" in error.value for error in at.error)
    picture = pictures.keep_upload(PICTURE, ignore)
    at.query_params["picture"] = f"sha256:{picture.sha256}"
    at.run()
    assert not at.error
    assert_maps(at, P8, P16)
    assert panes_of(at) == [P8, P16]
