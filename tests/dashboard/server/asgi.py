"""Middleware called without a server: a scope, messages that come in, and those that go out."""

import asyncio
from collections.abc import Iterable
from itertools import chain

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asynchronous import finished

Headers = list[tuple[bytes, bytes]]


def http_scope(path: str = "/", method: str = "GET", *, headers: Iterable[tuple[str, str]] = ()) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": _raw(headers), "query_string": b""}


def websocket_scope(headers: Iterable[tuple[str, str]]) -> Scope:
    return {"type": "websocket", "path": "/_stcore/stream", "headers": _raw(headers), "query_string": b""}


def _raw(headers: Iterable[tuple[str, str]]) -> Headers:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers]


class Inner:
    """The application behind the middleware: it keeps what it is called with, and answers with the same each time."""

    def __init__(self, *answers: Message) -> None:
        self.scopes: list[Scope] = []
        self._answers = answers

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        self.scopes.append(scope)
        for answer in self._answers:
            await send(answer)


def answer(body: bytes = b"inner", *, status: int = 200, **headers: str) -> list[Message]:
    """An answer in two messages; a header's name is written with underscores."""
    named = _raw((name.replace("_", "-"), value) for name, value in headers.items())
    return [
        {"type": "http.response.start", "status": status, "headers": named},
        {"type": "http.response.body", "body": body},
    ]


def call(app: ASGIApp, scope: Scope, *messages: Message, more: Iterable[Message] = ()) -> list[Message]:
    """What goes out when these messages come in, and then more; after them nothing comes any more."""
    sent: list[Message] = []
    coming = chain(messages, more)

    async def receive() -> Message:
        for message in coming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    finished(app(scope, receive, send))  # type: ignore[arg-type]
    return sent


def text(sent: list[Message]) -> str:
    return b"".join(message.get("body", b"") for message in sent).decode()


def headers(sent: list[Message]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}
