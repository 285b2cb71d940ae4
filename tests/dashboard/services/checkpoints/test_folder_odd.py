"""Whatever lies in the folder: the listing works, and what it leaves out does not open, for the same reason."""

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services import catalogue, limits
from dashboard.services.checkpoints import folder, user_models
from tests.dashboard.checkpoints import hub_folder, touch
from tests.dashboard.support import ignore


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    """What a device is told from a file by: making one needs rights, linking to one does not."""
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    """A socket. Its path may be longer than an address can be, so it is made from within its folder."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def to_nowhere(path: Path) -> None:
    path.symlink_to("gone.pth")


def in_a_circle(path: Path) -> None:
    path.symlink_to("b_circle")
    path.with_name("b_circle").symlink_to(path.name)


def out_of_the_folder(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret.pth")


def to_a_folder(path: Path) -> None:
    touch(path.parent / "real" / "x.pth")
    path.symlink_to("real")


def in_a_file(path: Path) -> None:
    touch(path)


ODD = [
    (b"pipe.pth", pipe, folder.NOT_ORDINARY),
    (b"socket.pth", listening, folder.NOT_ORDINARY),
    (b"device.pth", device, folder.STRAY_LINK),
    (b"nowhere.pth", to_nowhere, folder.STRAY_LINK),
    (b"itself.pth", lambda path: path.symlink_to(path.name), folder.STRAY_LINK),
    (b"circle.pth", in_a_circle, folder.STRAY_LINK),
    (b"out.pth", out_of_the_folder, folder.STRAY_LINK),
    (b"linked", to_a_folder, folder.FOLDER_LINK),
    (b"a\xffb.pth", in_a_file, folder.UNPRINTABLE),
    (b"\xed\xa0\x80.pth", in_a_file, folder.UNPRINTABLE),
    (b"a\nb.pth", in_a_file, folder.UNPRINTABLE),
    (b"a\rb.pth", in_a_file, folder.UNPRINTABLE),
    (b"a\x1b[31mb.pth", in_a_file, folder.UNPRINTABLE),
    (b"a\\b.pth", in_a_file, folder.UNPRINTABLE),
    ("a\u202ehtp.pth".encode(), in_a_file, folder.UNPRINTABLE),
    ("a\u2028b.pth".encode(), in_a_file, folder.UNPRINTABLE),
    ("a\x85b.pth".encode(), in_a_file, folder.UNPRINTABLE),
]


@pytest.mark.parametrize(("name", "make", "why"), ODD, ids=lambda value: getattr(value, "__name__", None))
def test_what_cannot_be_offered_is_left_out_and_a_link_says_why(
    root: Path, name: bytes, make: Callable[[Path], None], why: str
) -> None:
    touch(root / "good.pth")
    make(root / os.fsdecode(name))
    listed = folder.list_checkpoints()
    assert set(listed.names) - {"real/x.pth"} == {"good.pth"}
    assert listed.left_out == ((why, 1),)
    with pytest.raises(ve.CheckpointError) as refused:
        folder.find_checkpoint(os.fsdecode(name))
    assert str(refused.value).startswith("there is no checkpoint ")
    assert str(refused.value).endswith(f": {why}.")
    assert str(refused.value).isprintable()
    assert str(root) not in str(refused.value)
    assert catalogue.reopen(f"file:{os.fsdecode(name)}@2", ignore) == str(refused.value)


@pytest.mark.parametrize("name", [b"a\xff", b"a\nb"])
def test_folders_of_such_names_are_left_out_with_all_that_they_hold(root: Path, name: bytes) -> None:
    touch(root / "good.pth")
    touch(root / os.fsdecode(name) / "x.pth")
    listed = folder.list_checkpoints()
    assert listed.names == ("good.pth",)
    assert listed.left_out == ((folder.UNPRINTABLE, 1),)
    with pytest.raises(ve.CheckpointError, match=folder.UNPRINTABLE):
        folder.find_checkpoint(f"{os.fsdecode(name)}/x.pth")


@pytest.mark.parametrize(
    "name",
    [
        "x" * 251 + ".pth",
        "100%.pth",
        "%2e%2e.pth",
        "a#b.pth",
        "x@4.pth",
        "a&b=c.pth",
        "[a](b).pth",
        "<b>x.pth",
        "www.example.org.pth",
        ":material-delete:.pth",
        "UPPER.PTH",
        "mixed.SafeTensors",
        "-rf.pth",
        "$(x) `y`.pth",
        "im Büro.pth",
        "模型.pth",
        "model 😀.pth",
        "a.pth#student.pth",
        "x..pth",
    ],
)
def test_any_other_name_is_listed_opens_and_is_read_as_what_it_is(root: Path, name: str) -> None:
    path = touch(root / name)
    assert folder.list_checkpoints().names == (name,)
    assert folder.find_checkpoint(name) == path
    with pytest.raises(ve.CheckpointError) as refused:  # it holds no weights
        user_models.inspect(f"file:{name}@2", ignore)
    assert str(refused.value).startswith(name)


def test_names_that_differ_in_their_normal_form_alone_are_two_files(root: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.pth") for form in ("NFC", "NFD"))
    touch(root / composed).write_bytes(b"first")
    touch(root / decomposed).write_bytes(b"second")
    assert set(folder.list_checkpoints().names) == {composed, decomposed}
    assert folder.find_checkpoint(composed).read_bytes() == b"first"
    assert folder.find_checkpoint(decomposed).read_bytes() == b"second"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".secret.pth", folder.HIDDEN),
        (".hidden/x.pth", folder.HIDDEN),
        ("run/.hidden/x.pth", folder.HIDDEN),
        (".hidden", folder.HIDDEN),
        ("hub/model.safetensors", folder.OF_A_MODEL_FOLDER),
        ("hub/checkpoint-1/x.pth", folder.OF_A_MODEL_FOLDER),
        ("linked/x.pth", folder.FOLDER_LINK),
        ("1/2/3/4/5/7/x.pth", folder.TOO_DEEP),
        ("1/2/3/4/5/6", folder.TOO_DEEP),
        ("run/notes.txt", folder.NO_WEIGHTS),
        ("run", folder.NO_WEIGHTS),
        (".", folder.NO_WEIGHTS),
    ],
)
def test_what_is_not_listed_does_not_open(root: Path, name: str, why: str) -> None:
    for other in (".secret.pth", ".hidden/x.pth", "run/.hidden/x.pth", "hub/checkpoint-1/x.pth", "run/notes.txt"):
        touch(root / other)
    touch(root / "1/2/3/4/5/7/x.pth")
    hub_folder(root / ".hidden")
    hub_folder(root / "1/2/3/4/5/6")
    hub_folder(root / "hub")
    touch(root / "run" / "x.pth")
    (root / "linked").symlink_to("run")
    listed = folder.list_checkpoints()
    assert listed.names == ("hub", "run/x.pth")
    assert listed.left_out == ((folder.FOLDER_LINK, 1),)  # nobody needs to hear of what is hidden
    with pytest.raises(ve.CheckpointError, match=why):
        folder.find_checkpoint(name)


def test_a_folder_at_the_greatest_depth_is_listed_and_opens(root: Path) -> None:
    touch(root / "1/2/3/4/5/x.pth")
    assert folder.list_checkpoints().names == ("1/2/3/4/5/x.pth",)
    assert folder.find_checkpoint("1/2/3/4/5/x.pth").name == "x.pth"


def test_a_listing_that_is_cut_keeps_no_file_from_being_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        touch(root / f"{number}.pth")
    monkeypatch.setattr(limits, "MAX_FILES", 1)
    assert folder.list_checkpoints() == folder.Listing(("0.pth",), root.name, cut=True)
    assert folder.find_checkpoint("2.pth") == root / "2.pth"


def test_a_folder_whose_weights_are_no_files_is_no_model(root: Path) -> None:
    (root / "hub").mkdir()
    (root / "hub" / "config.json").write_text("{}", encoding="utf-8")
    os.mkfifo(root / "hub" / "model.safetensors")
    listed = folder.list_checkpoints()
    assert listed == folder.Listing((), root.name, left_out=((folder.NOT_ORDINARY, 1),))
    with pytest.raises(ve.CheckpointError, match=folder.NO_WEIGHTS):
        folder.find_checkpoint("hub")


def test_a_folder_that_is_a_model_itself_is_called_by_its_name(root: Path) -> None:
    hub_folder(root)
    assert folder.list_checkpoints().names == (".",)
    assert folder.find_checkpoint(".") == root
    assert user_models.display_name("file:.") == root.name
