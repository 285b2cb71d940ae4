"""Middleware that bounds what is uploaded: a file, a session, all sessions together, and how slowly it may come.

Streamlit's own limit is one for all files, and the limit of a widget is the browser's alone. Which widget a file is
for is not said either, so its name decides: what is not called like a checkpoint is a picture.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, runtime

from dashboard.server import held
from dashboard.server.responses import header_values, refuse
from dashboard.server.upload_form import Form, read_head

IDLE = 30.0  # seconds until a next piece
SLOWEST = 4096  # bytes a second on average, after the first IDLE seconds
AT_ONCE = 4  # uploads of one session
FRAMING = 1024  # bytes that may follow a file in its form
Piece = TypeVar("Piece")
_ROUTE = re.compile(r"/_stcore/upload_file/([^/]+)/([^/]+)")


@dataclass(frozen=True)
class Bounds:
    """For files of one kind, in bytes. kind: "pictures" or "checkpoints". all_sessions: both kinds together."""

    kind: str
    file: int
    session: int
    files: int
    all_sessions: int


NOTHING = Bounds("", 0, 0, 0, 0)


def bounds_of(name: str) -> Bounds:
    """The bounds of a file, by its name."""
    # Heavy, but a browser that uploads has had them imported. The whole engine comes before a part of it: at the start
    # another thread may be importing it, and would wait for the part while this one waits for the whole.
    import vit_engine  # noqa: F401, PLC0415
    from dashboard.services import limits  # noqa: PLC0415
    from vit_engine.weights.reading.folder import SUFFIXES  # noqa: PLC0415

    common = limits.SESSION_FILES, limits.RECEIVED_BYTES
    if name.lower().endswith(SUFFIXES):
        size = config.get_option("server.maxUploadSize") << 20
        return Bounds("checkpoints", size, size, *common)
    return Bounds("pictures", limits.PICTURE_MEGABYTES << 20, limits.SESSION_PICTURE_BYTES, *common)


@dataclass(eq=False)
class Transfer:
    """An upload that is coming in. received: bytes of the file so far."""

    session: str
    file: str
    bounds: Bounds = NOTHING  # until the file's name is known
    received: int = 0
    began: float = field(default_factory=time.monotonic)

    def patience(self) -> float:
        """Seconds until the next piece must be here."""
        slowest = self.began + IDLE + self.received / SLOWEST
        return max(0.0, min(IDLE, slowest - time.monotonic()))


class UploadGuard:
    """413 for a file that is too long, 429 and 503 where too many come at once, 408 for one that stalls."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._transfers: set[Transfer] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        upload = _ROUTE.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if upload is None or not runtime.get_instance().is_active_session(upload[1]):
            await self._app(scope, receive, send)
            return
        transfer = Transfer(upload[1], upload[2])
        self._transfers.add(transfer)
        try:
            await self._take(transfer, scope, receive, send)
        except HTTPException as error:
            await refuse(scope, receive, send, error)
        except ClientDisconnect:  # nobody is there to be answered
            logging.getLogger(__name__).debug("An upload was broken off after %d bytes.", transfer.received)
        finally:
            self._transfers.discard(transfer)

    async def _take(self, transfer: Transfer, scope: Scope, receive: Receive, send: Send) -> None:
        if sum(other.session == transfer.session for other in self._transfers) > AT_ONCE:
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, f"429: at most {AT_ONCE} files are uploaded at once.")
        form = await _in_time(transfer, read_head(scope, receive))
        transfer.bounds = bounds_of(form.name)
        self._make_room(transfer, _claimed(scope, form))
        replies: list[Message] = []

        async def keep(message: Message) -> None:
            replies.append(message)

        await self._app(scope, self._counting(transfer, form, receive), keep)
        _check_kept(transfer, form.name)
        for reply in replies:
            await send(reply)

    def _counting(self, transfer: Transfer, form: Form, receive: Receive) -> Receive:
        """The same messages, counted as they come. HTTPException, which Streamlit answers with, ends them."""
        pending = iter(form.messages)

        async def counted() -> Message:
            size, message = 0, next(pending, None)
            if message is None:
                message = await _in_time(transfer, receive())
                size = len(message.get("body", b""))
                form.feed(message.get("body", b""))
            self._make_room(transfer, size)
            transfer.received += size
            return message

        transfer.received = form.data
        return counted

    def _make_room(self, transfer: Transfer, size: int) -> None:
        """Let a session's oldest files of this kind go for `size` more bytes, but nobody else's; or HTTPException."""
        bounds = transfer.bounds
        if transfer.received + size > bounds.file + FRAMING:
            raise _too_long(bounds)
        kind = transfer.session, bounds.kind
        coming = sum(each.received for each in self._transfers if (each.session, each.bounds.kind) == kind)
        room = bounds.session + FRAMING - coming - size
        if room < 0:
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, f"429: too many {bounds.kind} are uploaded at once.")
        _drop_oldest(transfer, room)
        if held.total_bytes() + size + sum(each.received for each in self._transfers) > bounds.all_sessions:
            reason = "503: the server holds as many uploads as it may. Try again in a minute."
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def _drop_oldest(transfer: Transfer, room: int) -> None:
    """Let a session's oldest files of the kind go until the rest has room (bytes) beside what is coming."""
    old = {
        file: len(record.data)
        for file, record in held.files_of(transfer.session).items()
        if bounds_of(record.name).kind == transfer.bounds.kind and file != transfer.file
    }
    while old and (len(old) >= transfer.bounds.files or sum(old.values()) > room):
        file = next(iter(old))
        del old[file]
        held.manager().remove_file(transfer.session, file)


async def _in_time(transfer: Transfer, piece: Awaitable[Piece]) -> Piece:
    try:
        async with asyncio.timeout(transfer.patience()):
            return await piece
    except TimeoutError:
        closing = {"connection": "close"}
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "408: the upload stalled.", closing) from None


def _claimed(scope: Scope, form: Form) -> int:
    """The length of a file that begins, as the request says it; 0 where it does not."""
    lengths = header_values(scope, b"content-length")
    length = int(lengths[0]) if len(lengths) == 1 and lengths[0].isdecimal() else 0
    return max(0, length - (form.received - form.data) - FRAMING)


def _check_kept(transfer: Transfer, name: str) -> None:
    """Streamlit reads the form by itself: what it took out of it is held to the name and bounds of what came in."""
    record = held.files_of(transfer.session).get(transfer.file)
    if record is None:
        return
    size = len(record.data)
    if record.name == name and size <= transfer.bounds.file:
        _drop_oldest(transfer, transfer.bounds.session - size)
        return
    held.manager().remove_file(transfer.session, transfer.file)
    two_names = HTTPException(HTTPStatus.BAD_REQUEST, "400: the form's file was read under two names.")
    raise _too_long(transfer.bounds) if record.name == name else two_names


def _too_long(bounds: Bounds) -> HTTPException:
    reason = f"413: {bounds.kind} may be at most {bounds.file >> 20:,} MB."
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
