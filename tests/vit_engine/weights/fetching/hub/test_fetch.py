"""How weights come: in pieces that are kept, once, checked, and within limits."""

import hashlib
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock

import vit_engine as ve
from tests.vit_engine.weights.fetching.hub.conftest import NAME
from tests.vit_engine.weights.hub_server import TOKEN, Hub
from vit_engine.errors import CheckpointError, DownloadError, ResourceError
from vit_engine.progress import Progress
from vit_engine.weights.fetching.hub import HubName, describe_hub_model, fetch_hub_model
from vit_engine.weights.fetching.hub.fetch import stored_bytes


class CancelledError(Exception):
    """What a caller raises who wants no more."""


def ranges(hub: Hub) -> list[str | None]:
    """What was asked for of weights, by range."""
    return [each.range for each in hub.asked if each.host == "cdn" and each.method == "GET"]


def part(hub: Hub) -> Path:
    (path,) = hub.cache.glob("*/blobs/*.incomplete")
    return path


def cancel_at(share: float) -> Progress:
    def progress(fraction: float, _: str) -> None:
        if fraction >= share:
            raise CancelledError

    return progress


def test_a_broken_connection_goes_on_where_it_broke(hub: Hub) -> None:
    hub.sends = [5000, 3000]
    ve.load_model(NAME, device="cpu")
    assert ranges(hub) == [None, "bytes=5000-", "bytes=8000-"]


def test_where_ranges_are_not_known_it_begins_anew(hub: Hub) -> None:
    hub.sends, hub.ranges = [5000], False
    ve.load_model(NAME, device="cpu")
    assert ranges(hub) == [None, "bytes=5000-"]


def test_what_came_before_a_cancel_is_kept_for_the_next(hub: Hub) -> None:
    with pytest.raises(CancelledError):
        ve.load_model(NAME, device="cpu", progress=cancel_at(0.5))
    came = part(hub).stat().st_size
    assert came > 0
    model = describe_hub_model(HubName(NAME))
    assert stored_bytes(model) == came + len(hub.repos[NAME].files["config.json"])
    ve.load_model(NAME, device="cpu")
    assert ranges(hub) == [None, f"bytes={came}-"]
    assert not list(hub.cache.glob("*/blobs/*.incomplete"))


@pytest.mark.usefixtures("hub")
def test_what_progress_raises_is_no_error_of_the_disk() -> None:
    def print_to_nobody(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        ve.load_model(NAME, device="cpu", progress=print_to_nobody)


def test_a_connection_that_stays_broken_keeps_what_came(hub: Hub) -> None:
    hub.sends = [4000] + 6 * [0]
    with pytest.raises(DownloadError, match=r"was not fetched whole: .*\. What has come is kept: try again"):
        ve.load_model(NAME, device="cpu")
    assert part(hub).stat().st_size == 4000


@pytest.mark.usefixtures("hub")
def test_progress_is_in_bytes_of_all_files() -> None:
    told: list[tuple[float, str]] = []
    ve.load_model(NAME, device="cpu", progress=lambda fraction, message: told.append((fraction, message)))
    fractions = [fraction for fraction, message in told if message.startswith(f"downloading {NAME}: ")]
    assert len(fractions) > 10
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (pytest.approx(0, abs=0.05), 1.0)


def test_other_bytes_than_the_hub_says_are_thrown_away(hub: Hub) -> None:
    hub.corrupt = True
    data = hub.repos[NAME].files["model.safetensors"]
    got, expected = (hashlib.sha256(each).hexdigest() for each in (bytes(len(data)), data))
    with pytest.raises(DownloadError, match=rf"model\.safetensors of hf:.* has sha256 {got}; expected {expected}"):
        ve.load_model(NAME, device="cpu")
    assert not list(hub.cache.glob("*/blobs/*.incomplete"))
    hub.corrupt = False
    assert ve.load_model(NAME, device="cpu").report.sha256 == expected


def test_the_token_goes_to_the_hub_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    ve.load_model(NAME, device="cpu")
    sent = {each.host: {other.authorization for other in hub.asked if other.host == each.host} for each in hub.asked}
    assert sent == {"hub": {f"Bearer {TOKEN}"}, "cdn": {None}}


def test_two_at_once_fetch_it_once(hub: Hub) -> None:
    hub.held = 1000
    models: list[Path] = []
    told: list[str] = []

    def progress(_: float, message: str) -> None:
        told.append(message)
        if "waiting" in message:
            hub.gate.set()

    def fetch() -> None:
        models.append(fetch_hub_model(describe_hub_model(HubName(NAME)), progress=progress))

    threads = [Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(models)) == 1
    assert ranges(hub) == [None]


def test_another_program_that_fetches_the_same_file_is_waited_for(hub: Hub) -> None:
    told: list[str] = []

    def progress(_: float, message: str) -> None:
        told.append(message)
        if message.startswith("waiting"):
            raise CancelledError

    sha256 = hashlib.sha256(hub.repos[NAME].files["model.safetensors"]).hexdigest()
    lock = hub.cache / ".locks" / repo_folder_name(repo_id=NAME, repo_type="model") / f"{sha256}.lock"
    lock.parent.mkdir(parents=True)
    with WeakFileLock(lock), pytest.raises(CancelledError):
        ve.load_model(NAME, device="cpu", progress=progress)
    assert told[-1] == "waiting for another download of model.safetensors"
    assert ranges(hub) == []


def test_other_programs_find_the_model_in_the_cache(hub: Hub) -> None:
    ve.load_model(NAME, device="cpu")
    hub.asked.clear()
    path = hf_hub_download(NAME, "model.safetensors", revision=hub.repos[NAME].commit)
    assert Path(path).read_bytes() == hub.repos[NAME].files["model.safetensors"]
    assert Path(snapshot_download(NAME, revision=hub.repos[NAME].commit, local_files_only=True)) == Path(path).parent
    assert hub.asked == []


def refused(hub: Hub, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ve.load_model(NAME, device="cpu")
    assert ranges(hub) == []


def test_more_than_the_limit_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MAX_CHECKPOINT_BYTES", "1000")
    refused(hub, CheckpointError, r"hf:meta/dinov2-tiny@\w+ has [\d,]+ bytes; at most 1,000 are read")


def test_more_than_the_memory_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", "1000")
    refused(hub, ResourceError, "the memory budget")


def test_more_than_the_disk_has_is_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit_engine.weights.fetching.hub.fetch.shutil.disk_usage", lambda _: SimpleNamespace(free=9000))
    refused(hub, DownloadError, r"the disk is full: .* needs \d+ MB more in .* Free some, or set HF_HOME")
