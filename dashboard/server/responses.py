"""What all middleware share: headers of a request, and answers in plain words."""

from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

WEBSOCKET_ANSWER = "websocket.http.response"


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header, which comes in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def refuse(scope: Scope, receive: Receive, send: Send, *, status: HTTPStatus, reason: str) -> None:
    """Answer a request or a websocket's handshake in plain text."""
    if scope["type"] == "websocket" and WEBSOCKET_ANSWER not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # which servers send as a bare 403
        return
    await PlainTextResponse(reason + "\n", status_code=status)(scope, receive, send)
