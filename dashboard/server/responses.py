"""What all middleware share: headers of a request, and answers in plain words."""

import logging

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, which comes in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def refuse(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
    """Answer a request in plain text; a websocket's handshake with a bare 403, which servers make of a close."""
    # not a warning, which would let anybody fill the log
    logging.getLogger(__name__).debug("Refused %s %r: %s", scope["type"], scope["headers"], error)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
    else:
        answer = PlainTextResponse(error.detail + "\n", status_code=error.status_code, headers=error.headers)
        await answer(scope, receive, send)
