"""What all middleware share: headers of a request, and answers in plain words."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, which comes in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    status: HTTPStatus,
    reason: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request in plain text; a websocket's handshake with a bare 403, which servers make of a close."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
    else:
        await PlainTextResponse(reason + "\n", status_code=status, headers=headers)(scope, receive, send)
