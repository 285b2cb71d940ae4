"""An uploaded checkpoint is kept in a private folder, bounded in bytes, and becomes a model like any other."""

import asyncio
import gc
import io
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys, serve, services
from dashboard.services import checkpoint_uploads, limits, own
from dashboard.testing import clear_caches, open_app, open_models
from tests.dashboard.checkpoints import HEADS, engine_trace_of, save_checkpoint
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small, small_trace

pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "mine.pth", 5)


def keep(data: bytes, title: str = "mine.pth") -> str:
    return services.keep_checkpoint(io.BytesIO(data), title=title, size=len(data), progress=ignore)


def upload(at: AppTest, data: bytes, title: str = "mine.pth") -> AppTest:
    at.segmented_control(key=keys.CHECKPOINT_SOURCE).set_value("upload").run()
    at.file_uploader(key=keys.CHECKPOINT_UPLOAD).set_value((title, data, "application/octet-stream")).run()
    assert not at.exception
    return at


def test_it_is_inspected_asked_for_its_heads_added_and_drawn_as_the_engine_says(file: Path) -> None:
    at = upload(open_models(**SMALL), file.read_bytes())
    assert at.selectbox(key=keys.CHECKPOINT_HEADS).value is None
    assert at.button(key=keys.ADD_CHECKPOINT).disabled
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    expected = engine_trace_of(file)
    assert_drawn(at, expected, layer=2)
    assert at.query_params["model"].startswith("upload:")
    other = open_app(**at.query_params)
    assert_drawn(other, expected, layer=2)
    assert "mine" in other.selectbox(key=keys.MODEL).options


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><html>", b"PK\x03\x04cut off"], ids=["empty", "html", "cut off"]
)
def test_a_damaged_one_is_told_in_the_engines_words(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "mine.pth").write_bytes(data)
    with pytest.raises(ve.CheckpointError) as refused:
        ve.inspect_checkpoint(tmp_path / "mine.pth")
    at = upload(open_models(**SMALL), data)
    (error,) = at.main.error
    assert error.value.replace("\\", "") == str(refused.value).replace(str(tmp_path / "mine.pth"), "mine.pth")
    assert keys.ADD_CHECKPOINT not in {button.key for button in at.button}


def test_a_link_to_one_that_is_gone_says_so(file: Path) -> None:
    name = services.add(f"{keep(file.read_bytes())}@{HEADS}", ignore).name
    clear_caches()
    at = open_small(model=name)
    assert "upload it again" in at.warning.values[0]
    assert_drawn(at, small_trace(model="demo_vit_p8"), layer=5)


def test_uploads_are_bounded_in_bytes_and_the_least_recently_used_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [save_checkpoint(tmp_path / f"{seed}.pth", seed).read_bytes() for seed in range(3)]
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 2 * len(files[0]))
    first, second = keep(files[0], "a.pth"), keep(files[1], "b.pth")
    paths = [own.path_of(second), own.path_of(first)]  # the second is the least recently used
    model = services.add(f"{second}@{HEADS}", ignore).name
    own.path_of(first)
    third = keep(files[2], "c.pth")
    assert [path.exists() for path in paths] == [False, True]
    assert own.path_of(third).read_bytes() == files[2]
    assert model not in services.models()
    with pytest.raises(ve.CheckpointError, match="upload it again"):
        services.inspect(f"{second}@{HEADS}", ignore)


def test_one_over_the_bound_is_refused_before_a_byte_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 10)
    kept = keep(b"0123456789")
    source = io.BytesIO(b"01234567890")
    with pytest.raises(ve.CheckpointError, match=r"'mine\.pth' has 11 B, and 10 B"):
        services.keep_checkpoint(source, title="mine.pth", size=11, progress=ignore)
    assert source.tell() == 0
    assert own.path_of(kept).exists()


@pytest.mark.parametrize("title", ["../../x.pth", "/etc/x.pth", "..\\..\\x.pth", "a/../x.pth"])
def test_a_name_cannot_lead_out_of_the_private_folder(title: str) -> None:
    path = own.path_of(keep(b"data", title))
    assert path.name == "x.pth"
    root = path.parent.parent
    assert sorted(one.name for one in root.rglob("*")) == sorted([path.parent.name, "x.pth"])
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize("title", ["x.txt", "x", ".pth", "x.pth.zip", "", ".."])
def test_only_names_of_weight_files_are_taken(title: str) -> None:
    with pytest.raises(ve.CheckpointError, match="must end in"):
        keep(b"data", title)


def test_the_same_bytes_are_kept_once_under_the_last_name() -> None:
    first = keep(b"data", "a.pth")
    assert keep(b"data", "b.safetensors") == first
    path = own.path_of(first)
    assert path.name == "b.safetensors"
    assert [one.name for one in path.parent.iterdir()] == ["b.safetensors"]


def test_a_copy_that_is_broken_off_leaves_nothing() -> None:
    path = own.path_of(keep(b"data"))

    def stop(fraction: float, message: str) -> None:
        raise InterruptedError(fraction, message)

    with pytest.raises(InterruptedError):
        services.keep_checkpoint(io.BytesIO(b"other"), title="x.pth", size=5, progress=stop)
    assert [one.name for one in path.parent.parent.iterdir()] == [path.parent.name]


def test_the_private_folder_goes_with_the_store() -> None:
    store = checkpoint_uploads.Uploads(100)
    sha256 = store.keep(io.BytesIO(b"data"), title="x.pth", size=4, progress=ignore)
    kept = store.find(sha256)
    assert kept is not None
    root = kept.path.parent.parent
    del store
    gc.collect()
    assert not root.exists()


def test_a_server_that_ends_removes_all_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_warm_up", lambda: None)
    root = own.path_of(keep(b"data")).parent.parent

    async def live() -> None:
        async with serve._lifespan(serve.app):
            assert root.exists()

    with ThreadPoolExecutor(1) as elsewhere:  # browser tests leave an event loop in this thread
        elsewhere.submit(asyncio.run, live()).result()
    assert not root.exists()
