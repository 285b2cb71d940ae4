"""Middleware that refuses requests for foreign hosts, and websockets of foreign pages."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

from dashboard.server.hosts import LOOPBACK, VARIABLE, AllowedHosts, allowed_hosts, hostname, listed_hosts
from dashboard.server.responses import header_values, refuse

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_FOREIGN_HOST = (
    "403: this server does not answer to that name. Whoever runs it can add the name to the environment variable "
    f"{VARIABLE} and start it again."
)
_FOREIGN_PAGE = "403: this server takes no connections from pages of other sites."


class HostGuard:
    """403 for hosts that are not allowed, whatever X-Forwarded-Host says, and for websockets of foreign pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._hosts = allowed_hosts()
        self._sites = AllowedHosts(tuple(host for host in listed_hosts() if host not in {*LOOPBACK, "*"}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        host = header_values(scope, b"host")
        if len(host) != 1 or not self._hosts.allow(host[0]):
            await refuse(scope, receive, send, HTTPException(HTTPStatus.FORBIDDEN, _FOREIGN_HOST))
            return
        if scope["type"] == "websocket":
            origin = header_values(scope, b"origin")
            if not self._is_known(origin, host[0]):
                await refuse(scope, receive, send, HTTPException(HTTPStatus.FORBIDDEN, _FOREIGN_PAGE))
                return
            scope = _with_host_of(origin, scope)
        await self._app(scope, receive, send)

    def _is_known(self, origins: list[str], host: str) -> bool:
        """Whether a page of this server opens the websocket, one that was listed by hand, or no page at all."""
        if not origins or not config.get_option("server.enableCORS"):
            return True
        origin = urlsplit(origins[0])
        if len(origins) != 1 or origin.scheme not in _DEFAULT_PORTS:
            return False
        site, own = (each.lower().removesuffix(_DEFAULT_PORTS[origin.scheme]) for each in (origin.netloc, host))
        return site == own or self._sites.allow(origin.netloc) or hostname(origin.netloc) in _listed_origins()


def _listed_origins() -> frozenset[str | None]:
    """Names of origins that Streamlit's own options name."""
    named = [urlsplit(origin).netloc for origin in config.get_option("server.corsAllowedOrigins")]
    if config.is_manually_set("browser.serverAddress"):
        named.append(config.get_option("browser.serverAddress"))
    return frozenset(map(hostname, named)) - {None}


def _with_host_of(origins: list[str], scope: Scope) -> Scope:
    """The same handshake with the origin's host.

    Where a proxy changed it, Streamlit would ask the internet for this machine's address, while everybody waits.
    """
    site = urlsplit(origins[0]).netloc.encode("latin-1") if origins else b""
    headers = [(key, site if site and key == b"host" else value) for key, value in scope["headers"]]
    return {**scope, "headers": headers}
