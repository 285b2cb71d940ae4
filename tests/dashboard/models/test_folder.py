"""The server's folder on the page Models: whatever lies in it, whatever it is called, and whatever a link asks for."""

import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services import limits
from dashboard.services.checkpoints import folder, user_models
from dashboard.testing import APP, TIMEOUT, clear_caches, open_app
from tests.dashboard.checkpoints import HEADS, engine_trace_of, opened, pick, save_checkpoint, state_dict
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small

pytestmark = pytest.mark.usefixtures("fresh_caches")
NAME = "file:run/last.pth"


def test_titles_that_look_the_same_are_told_apart(root: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.pth") for form in ("NFC", "NFD"))
    save_checkpoint(root / composed)
    save_checkpoint(root / decomposed, 1)
    titles = [user_models.add(f"file:{name}@{HEADS}", ignore).title for name in (composed, decomposed)]
    assert titles[0] == composed.removesuffix(".pth")
    assert titles[1] == f"{decomposed.removesuffix('.pth')} · {HEADS} heads"


@pytest.mark.parametrize("name", ["a#b & c=100%+.pth", "x@4.pth", "im Büro/[a](b) <i>.PTH", "?model=file:x.pth"])
def test_a_link_opens_a_file_of_any_name_again_in_a_fresh_server(root: Path, name: str) -> None:
    path = save_checkpoint(root / name, 3)
    at = pick(opened(), name)
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert at.query_params["model"] == f"file:{name}@{HEADS}"
    clear_caches()
    at = open_app(**at.query_params)
    assert not at.warning
    assert_drawn(at, engine_trace_of(path), layer=2)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("file:.secret.pth@2", "hidden"),
        ("file:run/gone.pth@2", "there is no checkpoint"),
        ("upload:" + "ab" * 32, "upload it again"),
        ("no_such_model", "not available here"),
    ],
)
def test_a_link_to_the_page_models_that_cannot_be_opened_says_why_there(root: Path, model: str, reason: str) -> None:
    save_checkpoint(root / ".secret.pth")
    at = open_page_models(model=model)
    (notice,) = at.main.warning
    assert reason in notice.value
    assert not at.run().main.warning


def open_page_models(**link: str) -> AppTest:
    """The page Models as opened by a link of its own."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for name, value in {**SMALL, **link}.items():
        at.query_params[name] = value
    at.switch_page("views/models.py").run()
    assert not at.exception
    return at


def test_the_page_works_whatever_lies_in_the_folder_and_says_what_is_left_out(root: Path) -> None:
    (root / os.fsdecode(b"a\xffb.pth")).write_bytes(b"weights")
    (root / "a\nb.pth").write_bytes(b"weights")
    os.mkfifo(root / "pipe.pth")
    (root / "loop.pth").symlink_to("loop.pth")
    at = opened()
    assert at.selectbox(key=keys.CHECKPOINT_FILE).options == ["run/last.pth"]
    (said,) = [caption.value for caption in at.main.caption if caption.value.startswith("Left out")]
    assert f"2 × {folder.UNPRINTABLE}" in said
    assert f"1 × {folder.NOT_ORDINARY}" in said
    assert f"1 × {folder.STRAY_LINK}" in said


def test_a_long_list_says_that_links_open_what_it_leaves_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(root / "other.pth", 1)
    monkeypatch.setattr(limits, "MAX_FILES", 1)
    at = opened()
    assert any("?model=file:NAME" in caption.value for caption in at.main.caption)
    assert not open_small(model=f"{NAME}@{HEADS}").warning


def test_a_folder_whose_own_name_cannot_be_shown_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    monkeypatch.setenv(folder.VARIABLE, str(odd))
    at = opened()
    at.segmented_control(key=keys.CHECKPOINT_SOURCE).set_value("folder").run()
    assert not at.exception
    assert "no weight files yet" in at.info.values[0]


def test_a_folder_that_goes_while_its_checkpoint_is_open_is_told(root: Path) -> None:
    at = pick(opened(), "run/last.pth")
    shutil.rmtree(root)
    at.run()
    assert not at.exception
    assert "must name a folder" in at.main.error.values[0]
    assert str(root) not in at.main.error.values[0]


@pytest.mark.parametrize("name", ["mine.pth", "mine"])
def test_errors_about_a_file_begin_with_its_name_as_it_is(root: Path, name: str) -> None:
    path = root / name / "model.safetensors" if name == "mine" else root / name
    path.parent.mkdir(exist_ok=True)
    (path.with_name("config.json")).write_text("{}", encoding="utf-8")
    save_file(state_dict(1), path)
    model = user_models.add(f"file:{name}@{HEADS}", ignore).name
    save_file(state_dict(2, depth=2), path)
    at = open_small(model=model)
    (error,) = at.main.error
    assert error.value.startswith(f"{name} has changed since it was added")
    path.write_bytes(b"<html>")
    at = pick(opened(), name)
    (error,) = at.main.error
    assert error.value.replace("\\", "").startswith(name)
    assert str(root) not in error.value
