"""What people will meet between here and the hub, and what they are told to do."""

import errno
from collections.abc import Callable
from pathlib import Path

import httpx2
import huggingface_hub
import pytest

import vit_engine as ve
from tests.vit_engine.weights.fetching.hub.conftest import NAME
from tests.vit_engine.weights.hub_server import STRANGER, TOKEN, Hub
from vit_engine.errors import DownloadError


def error_of(name: str) -> str:
    with pytest.raises(DownloadError) as caught:
        ve.load_model(name, device="cpu")
    return str(caught.value)


def go_offline(_: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def unplug(_: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx2.ConnectError("[Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr(httpx2.Client, "send", fail)


def stall(_: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise httpx2.ConnectTimeout("timed out")

    monkeypatch.setattr(httpx2.Client, "send", fail)


def trouble(hub: Hub, _: pytest.MonkeyPatch) -> None:
    hub.status = 503


def sign_in_first(hub: Hub, _: pytest.MonkeyPatch) -> None:
    """As networks of hotels answer: with a page of their own, whatever was asked for."""
    hub.status = 200


AWAY = pytest.mark.parametrize(
    ("away", "why"),
    [
        (go_offline, "HF_HUB_OFFLINE is set"),
        (unplug, "Temporary failure in name resolution"),
        (stall, "timed out"),
        (trouble, r"the hub has trouble (HTTP 503)"),
        (sign_in_first, " is no hub, "),
    ],
)
Away = Callable[[Hub, pytest.MonkeyPatch], None]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_name_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    nowhere = (
        "there is no model 'meta/dinov3-tiny' on the Hugging Face hub that this machine may read. Check the spelling; "
        "if it is private, set HF_TOKEN, or log in with `hf auth login`."
    )
    assert error_of("hf:meta/dinov3-tiny") == nowhere
    assert error_of("meta/dinov3-tiny") == f"there is no file or folder 'meta/dinov3-tiny' here, and {nowhere}"


def test_a_revision_that_is_not_there(hub: Hub) -> None:
    assert error_of(f"{NAME}@v2") == (
        f"{NAME} has no revision 'v2' on the hub: expected a branch, a tag or a commit. "
        f"They are listed at {hub.url}/{NAME}."
    )


@pytest.mark.parametrize("token", ["", STRANGER])
def test_a_gated_model(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    hub.repos[NAME].gated = True
    monkeypatch.setenv("HF_TOKEN", token)
    told = error_of(NAME)
    assert told.startswith(f"{NAME} is gated: its owner gives access to those who accept its licence. Accept it at ")
    assert f"{hub.url}/{NAME}, and set HF_TOKEN, or log in with `hf auth login`." in told
    assert told.endswith(f"The hub says: Access to model {NAME} is restricted and you are not in the authorized list.")


def test_a_gated_model_opens_to_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[NAME].gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert ve.load_model(NAME, device="cpu").spec.name == NAME


def test_a_private_model(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[NAME].private = True
    assert "if it is private, set HF_TOKEN" in error_of(NAME)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert ve.load_model(NAME, device="cpu").spec.name == NAME


@pytest.mark.usefixtures("hub")
def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "invalid")
    assert "the hub takes the token that is set here for no valid one: set HF_TOKEN" in error_of(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_…")  # as a page shortens it
    assert "the token that is set here has characters that no token has: set HF_TOKEN" in error_of(NAME)


@pytest.mark.parametrize(("status", "words"), [(429, "too many requests"), (403, "to the token that is set here")])
def test_other_refusals(hub: Hub, status: int, words: str) -> None:
    hub.status = status
    assert words in error_of(NAME)


def test_a_file_that_is_listed_and_not_given(hub: Hub) -> None:
    hub.repos[NAME].missing = ("model.safetensors",)
    assert f"the hub lists a file of hf:{NAME} that is not there. Try again later." in error_of(NAME)


@pytest.mark.usefixtures("hub")
def test_an_endpoint_that_is_another_site(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"{hub.url}/proxy")
    assert f"{hub.url}/proxy does not know what was asked of it for hf:{NAME} (HTTP 404). Check" in error_of(NAME)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "proxy")
    assert "is missing an 'http://' or 'https://' protocol, and the hub's cache" in error_of(NAME)


@AWAY
def test_without_the_hub_a_copy_is_taken(hub: Hub, monkeypatch: pytest.MonkeyPatch, away: Away, why: str) -> None:
    ve.load_model(NAME, device="cpu")
    away(hub, monkeypatch)
    assert why
    assert ve.load_model(NAME, device="cpu").report.source == f"hf:{NAME}@{hub.repos[NAME].commit}"


@AWAY
def test_without_the_hub_and_a_copy(hub: Hub, monkeypatch: pytest.MonkeyPatch, away: Away, why: str) -> None:
    away(hub, monkeypatch)
    told = error_of(NAME)
    assert told.startswith(f"there is no file or folder '{NAME}' here, and hf:{NAME} cannot be fetched: ")
    assert why in told
    assert told.endswith(f"or fetch it elsewhere with `hf download {NAME}`, and pass the folder.")


def test_half_a_copy_is_none(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.corrupt = True
    error_of(NAME)  # its configuration is here now
    go_offline(hub, monkeypatch)
    assert "the hub's cache here has no whole copy of it" in error_of(NAME)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: .*. Free some"),
        (errno.EACCES, "cannot be kept in .*: Permission denied. Set HF_HOME"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_disk_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, words: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "Permission denied", str(tmp_path))

    monkeypatch.setattr("vit_engine.weights.fetching.hub.fetch.os.replace", fail)
    with pytest.raises(DownloadError, match=words):
        ve.load_model(NAME, device="cpu")


def test_a_new_version_that_did_not_come_whole_leaves_the_old_copy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ve.load_model(NAME, device="cpu").report.source
    hub.repos[NAME].files["model.safetensors"] += b"changed"
    hub.corrupt = True
    error_of(NAME)
    go_offline(hub, monkeypatch)
    assert ve.load_model(NAME, device="cpu").report.source == old
