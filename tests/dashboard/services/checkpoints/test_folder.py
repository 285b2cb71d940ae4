"""The folder of checkpoints offers what is in it, and nothing else can be named."""

import json
from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services import catalogue, limits
from dashboard.services.checkpoints import folder, user_models
from tests.dashboard.checkpoints import hub_folder, save_checkpoint, touch
from tests.dashboard.support import ignore


def test_weight_files_and_model_folders_are_listed_as_people_count(root: Path) -> None:
    for name in ("run/step10.pth", "run/step9.pth", "a.safetensors", "notes.txt", ".hidden.pth", ".git/x.pth", "b.bin"):
        touch(root / name)
    hub_folder(root / "hub" / "vit-small")
    listed = folder.list_checkpoints()
    assert listed.names == ("a.safetensors", "b.bin", "hub/vit-small", "run/step9.pth", "run/step10.pth")
    assert not listed.cut


def test_listing_is_bounded_in_number_and_depth(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        touch(root / f"{number}.pth")
    touch(root / "a" / "b" / "deep.pth")
    monkeypatch.setattr(limits, "MAX_DEPTH", 1)
    assert len(folder.list_checkpoints().names) == 5
    monkeypatch.setattr(limits, "MAX_DEPTH", 2)
    assert len(folder.list_checkpoints().names) == 6
    monkeypatch.setattr(limits, "MAX_FILES", 4)
    assert (len(folder.list_checkpoints().names), folder.list_checkpoints().cut) == (4, True)


def test_without_a_folder_nothing_is_listed_and_nothing_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(folder.VARIABLE, raising=False)
    assert folder.list_checkpoints().names == ()
    with pytest.raises(ve.CheckpointError, match=folder.VARIABLE):
        folder.find_checkpoint(str(save_checkpoint(tmp_path / "x.pth")))
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ve.CheckpointError, match="must name a folder"):
        folder.list_checkpoints()


@pytest.mark.parametrize(
    "name",
    [
        "run/../run/x.pth",
        "{root}/run/x.pth",
        "../secret.pth",
        "run/../../secret.pth",
        "{root}/../secret.pth",
        "{outside}/secret.pth",
        "./x.pth",
        "run//x.pth",
        "/etc/passwd",
        "",
        ".",
        "..",
        "run",
        "x.pth/",
        "..\\secret.pth",
        "x\0.pth",
        "no.pth",
        "run/notes.txt",
        "~/x.pth",
        f"{'x' * 5000}.pth",
        "loop.pth",
        "link.pth",
        "linked/secret.pth",
        "linkedhub",
        "hub",
        "sharded/model.bin",
    ],
)
def test_no_name_leads_out_of_the_folder(root: Path, name: str) -> None:
    touch(root / "run" / "x.pth")
    touch(root / "run" / "notes.txt")
    (root / "loop.pth").symlink_to(root / "loop.pth")
    (root / "link.pth").symlink_to(root.parent / "secret.pth")
    (root / "linked").symlink_to(root.parent)
    hub_folder(root.parent / "outside")
    (root / "linkedhub").symlink_to(root.parent / "outside")
    (hub_folder(root / "hub") / "config.json").unlink()
    (root / "hub" / "config.json").symlink_to(root.parent / "outside" / "config.json")
    touch(root / "sharded" / "model.bin")
    (root / "sharded" / "config.json").symlink_to(root.parent / "outside" / "config.json")
    asked = name.format(root=root, outside=root.parent)
    with pytest.raises(ve.CheckpointError, match="there is no checkpoint"):
        folder.find_checkpoint(asked)
    assert folder.list_checkpoints().names == ("run/x.pth",)
    with pytest.raises(ve.CheckpointError):
        user_models.inspect(f"file:{asked}", ignore)
    assert catalogue.reopen(f"file:{asked}@2", ignore)
    assert user_models.find(f"file:{asked}@2") is None


def test_links_within_the_folder_are_followed(root: Path) -> None:
    target = save_checkpoint(root / "runs" / "last.pth")
    (root / "best.pth").symlink_to(target)
    assert "best.pth" in folder.list_checkpoints().names
    assert user_models.inspect("file:best.pth", ignore).display_name == "best.pth"


def test_names_that_links_would_take_apart_are_not_offered(root: Path) -> None:
    hub_folder(root / "vit@336")
    hub_folder(root / "vit.pth#2")
    hub_folder(root / "vit")
    touch(root / "run@2" / "x@4.pth")
    listed = folder.list_checkpoints()
    assert listed.names == ("run@2/x@4.pth", "vit")
    assert listed.left_out == ((folder.AMBIGUOUS, 2),)
    for name in ("vit@336", "vit.pth#2"):
        with pytest.raises(ve.CheckpointError, match=folder.AMBIGUOUS):
            folder.find_checkpoint(name)


def test_errors_name_the_file_as_the_folder_has_it_and_never_its_place(root: Path) -> None:
    touch(root / "run" / "x.pth")
    with pytest.raises(ve.CheckpointError, match=r"run/x\.pth") as error:
        user_models.inspect("file:run/x.pth", ignore)
    assert str(root) not in str(error.value)


def test_what_is_read_with_a_file_counts_as_a_change_of_it(root: Path) -> None:
    path = hub_folder(root / "hub")
    before = folder.stamp(path)
    (path / "config.json").write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert folder.stamp(path) != before
    alone = touch(root / "x.pth")
    before = folder.stamp(alone)
    touch(root / "y.pth")
    assert folder.stamp(alone) == before
