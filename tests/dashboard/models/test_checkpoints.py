"""A checkpoint of one's own, from the server's folder: inspected, asked for its heads, added, and drawn in Explore."""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import catalogue, limits, memory
from dashboard.services.checkpoints import folder, user_models
from dashboard.testing import choose_model, clear_caches, open_app, report_tables
from tests.dashboard.checkpoints import CHOICES, HEADS, engine_trace_of, opened, pick, save_checkpoint, state_dict
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small, small_trace

pytestmark = pytest.mark.usefixtures("fresh_caches")
NAME = "file:run/last.pth"


def button_keys(at: AppTest) -> set[str | None]:
    return {button.key for button in at.button}


def added(heads: int = HEADS) -> str:
    return user_models.add(f"{NAME}@{heads}", ignore).name


def test_unknown_heads_are_asked_for_with_nothing_chosen_and_then_drawn_as_the_engine_says(root: Path) -> None:
    at = pick(opened(), "run/last.pth")
    heads = at.selectbox(key=keys.CHECKPOINT_HEADS)
    assert heads.value is None
    assert {int(option.split()[0]) for option in heads.options} == CHOICES
    assert "With 24 dimensions it can be" in at.info.values[0]
    assert at.button(key=keys.ADD_CHECKPOINT).disabled
    heads.set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert "run/last" in at.success.values[0]
    assert "run/last" in at.dataframe(key=keys.MODELS_TABLE).value["model"].tolist()
    assert "run/last" in at.selectbox(key=keys.MODEL).options
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert_drawn(at, engine_trace_of(root / "run" / "last.pth"), layer=2)
    assert at.query_params == {**SMALL, "model": f"{NAME}@{HEADS}"}
    (title,) = [one.value for one in at.main.markdown if one.value.startswith("#### ")]
    assert title.startswith("#### run/last")
    assert "from a file" in title
    assert "random weights" not in title
    assert any("run/last" in caption.value and "2 heads" in caption.value for caption in at.sidebar.caption)


def test_another_number_of_heads_is_another_model(root: Path) -> None:
    two, three = added(2), added(3)
    specs = catalogue.models()
    assert (specs[two].heads, specs[three].heads) == (2, 3)
    assert specs[two].title != specs[three].title
    assert_drawn(open_small(model=three), engine_trace_of(root / "run" / "last.pth", heads=3), layer=2)
    assert_drawn(open_small(model=two), engine_trace_of(root / "run" / "last.pth", heads=2), layer=2)


def test_heads_are_not_taken_over_by_the_next_checkpoint(root: Path) -> None:
    save_checkpoint(root / "other.pth", 1)
    at = pick(opened(), "run/last.pth")
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    pick(at, "other.pth")
    assert at.selectbox(key=keys.CHECKPOINT_HEADS).value is None
    assert at.button(key=keys.ADD_CHECKPOINT).disabled


def test_adding_without_heads_is_refused_by_the_services_too(root: Path) -> None:
    assert root
    with pytest.raises(ve.CheckpointError, match=r"how many heads.*With 24 dimensions"):
        user_models.add(NAME, ignore)


def training_file(path: Path) -> Path:
    """What DINO's training saves: teacher and student side by side, and an architecture that says the heads."""
    teacher, student = (state_dict(seed, depth=1, dim=192) for seed in (1, 2))
    content = {
        "teacher": {f"backbone.{name}": tensor for name, tensor in teacher.items()},
        "student": {f"module.backbone.{name}": tensor for name, tensor in student.items()},
        "args": argparse.Namespace(arch="vit_tiny"),
    }
    torch.save(content, path)
    return path


def test_a_file_that_says_its_heads_is_not_asked_and_the_teacher_comes_first(root: Path) -> None:
    path = training_file(root / "full.pth")
    at = pick(opened(), "full.pth")
    assert keys.CHECKPOINT_HEADS not in {box.key for box in at.selectbox}
    assert at.selectbox(key=keys.CHECKPOINT_PART).value == "teacher"
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert_drawn(at, engine_trace_of(path, heads=None), layer=0)
    assert at.query_params["model"] == "file:full.pth"


def test_the_student_is_another_model_that_its_link_opens(root: Path) -> None:
    path = training_file(root / "full.pth")
    at = pick(opened(), "full.pth")
    at.selectbox(key=keys.CHECKPOINT_PART).set_value("student").run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert "full · student" in at.success.values[0]
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    student = engine_trace_of(f"{path}#student", heads=None)
    assert_drawn(at, student, layer=0)
    assert at.query_params["model"] == "file:full.pth#student"
    clear_caches()
    assert_drawn(open_app(**at.query_params), student, layer=0)
    assert memory.load_report("file:full.pth#student").part == "student"


def test_the_report_accounts_for_every_tensor_before_it_is_a_model(root: Path) -> None:
    save_file({**state_dict(1), "mask_token": torch.zeros(1, 24)}, root / "more.safetensors")
    found = user_models.inspect("file:more.safetensors", ignore)
    at = pick(opened(), "more.safetensors")
    frame = report_tables(at)[-1]
    assert sorted(frame["tensor"]) == sorted(
        [*found.report.matched, *dict(found.report.converted), *dict(found.report.dropped)]
    )
    text = "".join(element.proto.body for element in at.main.get("html"))
    assert found.report.sha256 in text
    assert str(root) not in text
    assert at.get_by_key(keys.DOWNLOAD_INSPECTED).proto.label == "Report as JSON"
    assert json.loads(json.dumps(asdict(found.report)))["source"] == "more.safetensors"


@pytest.mark.parametrize("data", [b"", b"<html>login</html>", b"\x80\x02garbage"], ids=["empty", "html", "garbage"])
def test_what_is_no_model_is_refused_in_the_engines_words(root: Path, data: bytes) -> None:
    (root / "bad.pth").write_bytes(data)
    with pytest.raises(ve.CheckpointError) as refused:
        ve.inspect_checkpoint(root / "bad.pth")
    at = pick(opened(), "bad.pth")
    (error,) = at.main.error
    words = str(refused.value).replace(str(root / "bad.pth"), "bad.pth")
    assert error.value.replace("\\", "") == words
    assert keys.ADD_CHECKPOINT not in button_keys(at)


def test_a_link_opens_it_again_in_a_fresh_server(root: Path) -> None:
    at = open_small(model=f"{NAME}@{HEADS}", layer="1", head="0")
    assert not at.warning
    assert_drawn(at, engine_trace_of(root / "run" / "last.pth"), layer=1, head=0)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("file:../secret.pth@2", "there is no checkpoint"),
        ("file:/etc/passwd", "there is no checkpoint"),
        ("file:run/gone.pth@2", "there is no checkpoint"),
        (NAME, "how many heads"),
        (f"{NAME}@5", "heads"),
        ("upload:" + "ab" * 32, "upload it again"),
    ],
)
def test_a_link_that_cannot_be_opened_says_why_and_shows_the_default(root: Path, model: str, reason: str) -> None:
    save_checkpoint(root.parent / "secret.pth")
    at = open_small(model=model)
    (notice,) = at.warning
    assert reason in notice.value
    assert_drawn(at, small_trace(model="demo_vit_p8"), layer=5)


def test_a_file_that_was_written_anew_is_never_drawn_as_what_it_was(root: Path) -> None:
    name = added()
    assert_drawn(open_small(model=name), engine_trace_of(root / "run" / "last.pth"), layer=2)
    save_checkpoint(root / "run" / "last.pth", 9, depth=4)
    at = open_small(model=name)
    (error,) = at.main.error
    assert "has changed since it was added" in error.value
    at = pick(opened(), "run/last.pth")
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert_drawn(at, engine_trace_of(root / "run" / "last.pth"), layer=3)


def test_a_file_that_changed_without_a_trace_is_told_by_its_bytes(root: Path) -> None:
    path = root / "run" / "last.pth"
    name, before = added(), path.stat()
    save_checkpoint(path, 9)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(ve.CheckpointError, match="overwritten"):
        memory.load_model(name, ignore)
    assert memory.in_memory() == {}


def test_a_model_whose_file_is_gone_leaves_the_models_and_says_so(root: Path) -> None:
    at = open_small(model=added())
    (root / "run" / "last.pth").unlink()
    at.run()
    assert "no longer here" in at.warning.values[0]
    assert_drawn(at, small_trace(model="demo_vit_p8"), layer=5)
    assert NAME not in {name.split("@")[0] for name in catalogue.models()}


def test_removing_takes_it_out_of_models_and_memory_and_leaves_the_file(root: Path) -> None:
    name = added()
    memory.load_model(name, ignore)
    at = choose_model(opened(), "run/last")
    at.button(key=keys.REMOVE_MODEL).click().run()
    assert not at.exception
    assert name not in catalogue.models()
    assert name not in memory.in_memory()
    assert (root / "run" / "last.pth").exists()
    with pytest.raises(ve.CheckpointError, match="not among the models"):
        memory.load_model(name, ignore)


def test_there_is_a_bound_on_models_from_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(root / "other.pth", 1)
    monkeypatch.setattr(limits, "MAX_OWN", 1)
    added()
    added()  # the same once more is none more
    with pytest.raises(ve.CheckpointError, match="remove some"):
        user_models.add("file:other.pth@2", ignore)


def test_without_a_folder_the_page_says_how_to_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(folder.VARIABLE, raising=False)
    at = opened()
    assert at.segmented_control(key=keys.CHECKPOINT_SOURCE).value == "upload"
    at.segmented_control(key=keys.CHECKPOINT_SOURCE).set_value("folder").run()
    assert folder.VARIABLE in at.info.values[0]


def test_an_empty_folder_and_one_that_is_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    at = opened()
    at.segmented_control(key=keys.CHECKPOINT_SOURCE).set_value("folder").run()
    assert "no weight files yet" in at.info.values[0]
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path / "nowhere"))
    at.run()
    assert not at.exception
    assert "must name a folder" in at.main.error.values[0]


def test_file_names_cannot_put_markup_on_the_page(root: Path) -> None:
    (root / "run" / "last.pth").rename(root / "![x](y):red[z].pth")
    at = pick(opened(), "![x](y):red[z].pth")
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    at = open_app(**at.query_params)
    texts = [text for text in (*at.main.markdown.values, *at.sidebar.caption.values) if "red" in text]
    assert len(texts) >= 2
    for text in texts:
        for markup in ("![x]", "](", ":red["):
            assert markup not in text.replace("\\]", "")
