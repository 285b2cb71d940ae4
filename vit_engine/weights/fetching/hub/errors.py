"""What goes wrong between here and the hub, in words, and what to do about it."""

import contextlib
import errno
from collections.abc import Iterator

import httpx2
from huggingface_hub import constants, errors

from vit_engine.errors import DownloadError
from vit_engine.weights.fetching.hub.names import HUB_PREFIX, HubName
from vit_engine.weights.reading.listing import shorten

LOG_IN = "set HF_TOKEN, or log in with `hf auth login`"


_BY_STATUS = {  # of HTTP
    401: f"the hub takes the token that is set here for no valid one: {LOG_IN} with another.",
    403: f"the hub refuses {{model}} to the token that is set here: {LOG_IN} with one that may read it.",
    404: "{endpoint} does not know what was asked of it for {model} (HTTP 404). Check HF_ENDPOINT; or try again later.",
    429: f"the hub has had too many requests from here. Try again later; with a token it allows more: {LOG_IN}.",
}


class Unreachable(Exception):  # noqa: N818  # it becomes a DownloadError where there is no copy in the cache either
    """The hub gives no answer, or says that it has trouble: why, without a full stop."""


@contextlib.contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """What huggingface_hub raises as the engine's DownloadError, or as Unreachable where a copy may do instead."""
    try:
        yield
    except errors.HfHubHTTPError as error:
        if error.response.status_code >= 500:
            raise Unreachable(f"the hub has trouble (HTTP {error.response.status_code})") from error
        raise DownloadError(_refused(name, error)) from error
    except errors.LocalEntryNotFoundError as error:
        raise Unreachable(_cause(error)) from error
    except errors.FileMetadataError as error:
        raise DownloadError(
            f"{name.text}: {shorten(_first_line(error), 300)} Check HF_ENDPOINT and the proxy."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("HF_HUB_OFFLINE is set") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unreachable(_first_line(error).rstrip(".") or type(error).__name__) from error
    except OSError as error:
        raise DownloadError(_on_disk(name, error)) from error


def _cause(error: BaseException) -> str:
    """Why a file could not be asked for: huggingface_hub hides it behind advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _first_line(error).rstrip(".")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def _refused(name: HubName, error: errors.HfHubHTTPError) -> str:
    """Sentences on an answer of the hub that is none of its own faults."""
    message = f" The hub says: {shorten(error.server_message.strip(), 300)}" if error.server_message else ""
    if isinstance(error, errors.GatedRepoError):
        words = (
            f"{name.repo} is gated: its owner gives access to those who accept its licence. Accept it at "
            f"{_page(name)}, and {LOG_IN}."
        )
    elif isinstance(error, errors.RepositoryNotFoundError):
        return not_found(name)
    elif isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{name.repo} has no revision {name.revision!r} on the hub: expected a branch, a tag or a commit. "
            f"They are listed at {_page(name)}."
        )
    elif isinstance(error, errors.EntryNotFoundError):
        words = f"the hub lists a file of {name.text} that is not there. Try again later."
    else:
        words = _BY_STATUS.get(error.response.status_code, "{model} is refused: {reason}.")
        reason = shorten(_first_line(error).rstrip("."), 300)
        words = words.format(model=name.text, reason=reason, endpoint=constants.ENDPOINT)
    return words + message


def not_found(name: HubName) -> str:
    """What to do where there is no such model, or none that this machine may see: the hub tells them not apart."""
    here = _nothing_here(name)
    return (
        f"{here}there is no model {name.repo!r} on the Hugging Face hub that this machine may read. Check the "
        f"spelling; if it is private, {LOG_IN}."
    )


def _nothing_here(name: HubName) -> str:
    return "" if name.explicit else f"there is no file or folder {name.text.removeprefix(HUB_PREFIX)!r} here, and "


def unreachable(name: HubName, why: str) -> DownloadError:
    """Neither the hub nor a copy in the cache."""
    here = _nothing_here(name)
    return DownloadError(
        f"{here}{name.text} cannot be fetched: {why}, and the hub's cache here has no whole copy of it. Try again with "
        "a connection to the hub (HF_HUB_OFFLINE unset, HTTPS_PROXY set where one is needed); or fetch it elsewhere "
        f"with `hf download {name.repo}`, and pass the folder."
    )


def _on_disk(name: HubName, error: OSError) -> str:
    cache = constants.HF_HUB_CACHE
    if error.errno is None:  # huggingface_hub's own: what came has another size than the hub says
        return f"{name.text}: {shorten(_first_line(error).rstrip('.'), 300)}. Try again later."
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"the disk is full: {name.text} does not fit into {cache}. Free some, or set HF_HOME to a folder on "
            "another disk; the next download goes on from what has come."
        )
    return (
        f"{name.text} cannot be kept in {cache}: {error.strerror or _first_line(error).rstrip('.')}. Set HF_HOME to a "
        "folder that can be written."
    )


def _page(name: HubName) -> str:
    return f"{constants.ENDPOINT}/{name.repo}"
