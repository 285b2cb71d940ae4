"""Middleware that adds the headers which tell browsers what they must not do with the dashboard's answers."""

import os
import re
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "VIT_DASHBOARD_FRAME_ANCESTORS"
_QUOTED = {"self": "'self'", "none": "'none'"}  # shells eat quotes
_OLD_BROWSERS = {"'self'": "SAMEORIGIN", "'none'": "DENY"}  # know X-Frame-Options alone, which names no other site
_HOST = r"(?:https?://)?(?:[a-z0-9*_.-]+|\[[0-9a-f:.]+\])(?::(?:\d+|\*))?"
_SOURCE = re.compile(rf"'self'|'none'|https?:|{_HOST}", re.IGNORECASE | re.ASCII)


def frame_ancestors() -> str:
    """Who may show the dashboard in a frame, itself alone if nothing is set; ValueError for another directive."""
    sources = os.environ.get(VARIABLE, "").replace(",", " ").split() or ["self"]
    ancestors = [_QUOTED.get(source.lower(), source) for source in sources]
    for source in ancestors:
        if not _SOURCE.fullmatch(source):
            known = "origins such as 'https://lab.example.org', 'self', 'none' or '*'"
            raise ValueError(f"{VARIABLE} must list {known}; got {source!r}.")
    return " ".join(ancestors)


class ProtectiveHeaders:
    """Adds the headers to every answer, those of errors and refusals too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        ancestors = frame_ancestors()
        self._headers = {
            "Content-Security-Policy": f"frame-ancestors {ancestors}",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
        if ancestors in _OLD_BROWSERS:
            self._headers["X-Frame-Options"] = _OLD_BROWSERS[ancestors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if scope["type"] == "http" and not started:  # Starlette's own answer would be outside of this middleware
                error = PlainTextResponse("Internal Server Error", status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
                await error(scope, receive, send_with_headers)
            raise
