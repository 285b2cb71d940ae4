"""Middleware that drops what a browser has no reason to send here: messages that reach beyond the sender's session."""

import logging

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.runtime_util import get_max_widget_state_size_bytes

# Caches are everybody's, the others run git or write files on the server: all are for those who develop an app.
_DEVELOPERS = {"clear_cache", "load_git_info", "set_run_on_save", "install_skills", "dismiss_skills_nudge"}
MAX_FILES = 32  # that one message asks an upload's address for; each costs the server time while everybody waits


class MessageFilter:
    """Lets a websocket's messages through but for those above: they have no effect and no answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_allowed() -> Message:
            while True:
                message = await receive()
                reason = refusal(message.get("bytes") or b"") if message["type"] == "websocket.receive" else ""
                if not reason:
                    return message
                logging.getLogger(__name__).debug("Dropped a message of a websocket: %s", reason)

        await self._app(scope, receive_allowed if scope["type"] == "websocket" else receive, send)


def refusal(data: bytes) -> str:
    """Why a message is dropped; empty for one that is not. What is too long or no message is Streamlit's to refuse."""
    if len(data) > get_max_widget_state_size_bytes():
        return ""
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return ""
    kind: str = message.WhichOneof("type") or ""
    if kind == "backend_operation_request":
        kind = message.backend_operation_request.WhichOneof("payload") or ""
    if kind == "file_urls_request" and (count := len(message.file_urls_request.file_names)) > MAX_FILES:
        return f"{count} files at once"
    return kind if kind in _DEVELOPERS else ""
