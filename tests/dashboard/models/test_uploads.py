"""An uploaded checkpoint is kept in a private folder, bounded in bytes, and becomes a model like any other."""

import gc
import io
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys, serve
from dashboard.services import analyses, catalogue, limits, memory
from dashboard.services.checkpoints import uploads, user_models
from dashboard.testing import clear_caches, open_app, open_models
from tests.asynchronous import finished
from tests.dashboard.checkpoints import HEADS, engine_trace_of, save_checkpoint
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small, small_trace
from vit_engine.registry import find_model
from vit_engine.weights.formats import FORMATS
from vit_engine.weights.locate import weights_path

pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "mine.pth", 5)


def keep(data: bytes, title: str = "mine.pth") -> str:
    return user_models.keep_checkpoint(io.BytesIO(data), title=title, size=len(data), progress=ignore)


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


def test_a_damaged_one_is_called_by_its_name_as_it_is() -> None:
    at = upload(open_models(**SMALL), b"PK\x03\x04cut off", title="my bad.pth")
    (error,) = at.main.error
    assert error.value.replace("\\", "").startswith("my bad.pth ")


def test_a_link_to_one_that_is_gone_says_so(file: Path) -> None:
    name = user_models.add(f"{keep(file.read_bytes())}@{HEADS}", ignore).name
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
    paths = [user_models.path_of(second), user_models.path_of(first)]  # the second is the least recently used
    model = user_models.add(f"{second}@{HEADS}", ignore).name
    user_models.path_of(first)
    third = keep(files[2], "c.pth")
    assert [path.exists() for path in paths] == [False, True]
    assert user_models.path_of(third).read_bytes() == files[2]
    assert model not in catalogue.models()
    with pytest.raises(ve.CheckpointError, match="upload it again"):
        user_models.inspect(f"{second}@{HEADS}", ignore)


def test_one_over_the_bound_is_refused_before_a_byte_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 10)
    kept = keep(b"0123456789")
    source = io.BytesIO(b"01234567890")
    with pytest.raises(ve.CheckpointError, match=r"'mine\.pth' has 11 B, and 10 B"):
        user_models.keep_checkpoint(source, title="mine.pth", size=11, progress=ignore)
    assert source.tell() == 0
    assert user_models.path_of(kept).exists()


@pytest.mark.parametrize("title", ["../../x.pth", "/etc/x.pth", "..\\..\\x.pth", "a/../x.pth"])
def test_a_name_cannot_lead_out_of_the_private_folder(title: str) -> None:
    path = user_models.path_of(keep(b"data", title))
    assert path.name == "x.pth"
    root = path.parent.parent
    assert sorted(one.name for one in root.rglob("*")) == sorted([path.parent.name, "x.pth"])
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize("title", ["x.txt", "x", ".pth", "x.pth.zip", "", ".."])
def test_only_names_of_weight_files_are_taken(title: str) -> None:
    with pytest.raises(ve.CheckpointError, match="must end in"):
        keep(b"data", title)


def test_the_same_bytes_are_kept_once_under_the_first_name() -> None:
    first = keep(b"data", "a.pth")
    assert keep(b"data", "b.safetensors") == first
    path = user_models.path_of(first)
    assert path.name == "a.pth"
    assert [one.name for one in path.parent.iterdir()] == ["a.pth"]


def add_uploaded(at: AppTest) -> AppTest:
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert not at.exception
    return at


def test_a_second_upload_of_the_same_bytes_is_the_same_model_and_leaves_the_first_owners_as_it_is(file: Path) -> None:
    first = add_uploaded(upload(open_models(**SMALL), file.read_bytes(), "mine.pth"))
    name, spec = next((name, spec) for name, spec in catalogue.models().items() if name.startswith("upload:"))
    assert spec.title == "mine"
    second = upload(open_models(**SMALL), file.read_bytes(), "yours.pth")
    assert any("already" in caption.value and "mine.pth" in caption.value for caption in second.main.caption)
    second.selectbox(key=keys.CHECKPOINT_HEADS).set_value(HEADS).run()
    second.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert second.query_params["model"] == name
    assert_drawn(second, engine_trace_of(file), layer=2)
    assert catalogue.models()[name] == spec
    first.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert_drawn(first, engine_trace_of(file), layer=2)
    assert user_models.add(name, ignore) == spec


def test_adding_once_more_leaves_a_model_its_title_even_if_a_better_one_is_free_by_now(file: Path) -> None:
    first = user_models.add(f"{keep(file.read_bytes())}@{HEADS}", ignore)
    other = save_checkpoint(file.with_name("other.pth"), 6).read_bytes()
    second = user_models.add(f"{keep(other)}@{HEADS}", ignore)
    assert (first.title, second.title) == ("mine", f"mine · {HEADS} heads")
    user_models.remove(first.name)
    assert user_models.add(second.name, ignore) == second


def test_a_model_whose_file_went_and_came_back_under_another_name_is_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file.read_bytes()
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", len(data))
    name = user_models.add(f"{keep(data)}@{HEADS}", ignore).name
    keep(b"another file")
    assert name not in catalogue.models()
    keep(data, "yours.pth")
    assert catalogue.models()[name].title == "mine"
    assert_drawn(open_small(model=name), engine_trace_of(file), layer=2)


def test_published_weights_are_known_by_their_name_even_if_they_came_under_another_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of most formats: nothing in the file says its heads, only the name under which it was published does."""
    monkeypatch.setattr("vit_engine.weights.convert.FORMATS", [each for each in FORMATS if each.name != "demo"])
    spec = find_model("demo_vit_p16")
    published = weights_path(spec)
    first = keep(published.read_bytes(), "mine.safetensors")
    assert user_models.inspect(first, ignore).spec is None
    mine = user_models.add(f"{first}@1", ignore)
    assert keep(published.read_bytes(), published.name) == first
    recognised = user_models.inspect(first, ignore)
    assert recognised.display_name == published.name
    assert recognised.spec is not None
    assert recognised.spec.heads == spec.heads
    assert memory.load_model(mine.name, ignore).spec == mine
    assert (mine.title, mine.heads) == ("mine", 1)
    assert keep(published.read_bytes(), "third.safetensors") == first
    assert user_models.path_of(first).name == published.name


def test_a_published_name_on_other_weights_takes_no_other_names_place() -> None:
    first = keep(b"data", "mine.safetensors")
    assert keep(b"data", "demo_vit_p16.safetensors") == first
    assert user_models.path_of(first).name == "mine.safetensors"


def test_two_sessions_that_add_and_remove_at_once_never_fail(file: Path) -> None:
    name = f"{keep(file.read_bytes())}@{HEADS}"
    together = threading.Barrier(2)

    def session(_: int) -> None:
        together.wait(timeout=60)
        for _ in range(20):
            user_models.add(name, ignore)
            catalogue.table()
            catalogue.series_of(name)
            memory.unload(name)
            user_models.remove(name)

    with ThreadPoolExecutor(2) as sessions:
        list(sessions.map(session, range(2)))
    assert name not in catalogue.models()


def test_a_model_that_another_session_removes_while_a_page_is_drawn_is_known_until_that_is_done(file: Path) -> None:
    name = user_models.add(f"{keep(file.read_bytes())}@{HEADS}", ignore).name
    user_models.remove(name)
    specs = catalogue.models()
    assert name not in specs
    assert name not in list(specs)
    assert specs[name].title == "mine"
    with pytest.raises(KeyError):
        specs["upload:never"]


def test_models_whose_files_are_gone_take_nobodys_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OWN", 1)
    data = file.read_bytes()
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES", 3 * len(data) // 2)
    user_models.add(f"{keep(data)}@{HEADS}", ignore)
    other = save_checkpoint(file.with_name("other.pth"), 6).read_bytes()
    name = f"{keep(other)}@{HEADS}"
    assert user_models.add(name, ignore).name == name
    assert next(iter(catalogue.models())) == name


def test_a_copy_that_is_broken_off_leaves_nothing() -> None:
    path = user_models.path_of(keep(b"data"))

    def stop(fraction: float, message: str) -> None:
        raise InterruptedError(fraction, message)

    with pytest.raises(InterruptedError):
        user_models.keep_checkpoint(io.BytesIO(b"other"), title="x.pth", size=5, progress=stop)
    assert [one.name for one in path.parent.parent.iterdir()] == [path.parent.name]


def test_the_private_folder_goes_with_the_store() -> None:
    store = uploads.Uploads(100)
    sha256 = store.keep(io.BytesIO(b"data"), title="x.pth", size=4, progress=ignore)
    kept = store.find(sha256)
    assert kept is not None
    root = kept.path.parent.parent
    del store
    gc.collect()
    assert not root.exists()


def test_a_server_that_starts_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "vit-checkpoints-abc_1234"
    left.mkdir(mode=0o700)
    (left / ("ab" * 32)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(analyses, "warm_up", lambda: None)
    serve._warm_up()
    assert not left.exists()


def test_a_server_that_ends_removes_all_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_warm_up", lambda: None)
    root = user_models.path_of(keep(b"data")).parent.parent

    async def live() -> None:
        async with serve._lifespan(serve.app):
            assert root.exists()

    finished(live())
    assert not root.exists()
