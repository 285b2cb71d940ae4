"""A server on the loopback that gives files as the servers of weights do, and as bad ones do."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import urlsplit

BODY = bytes(range(251)) * 10_000  # 2.51 MB: three pieces


@dataclass
class Served:
    """A file and how it is given.

    etag, modified: what names its version. ranges: whether parts may be asked for. sized: whether its
    size is told. status: other than 200, nothing but that. sends: how many bytes of its body each of the
    next answers has before the connection ends; later ones have all. held: after how many bytes an answer
    waits for the server's gate to open, before it goes on. skew: how many bytes after the one that was
    asked for a part begins. extra: more headers.
    """

    body: bytes = BODY
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    sized: bool = True
    status: int = 200
    sends: list[int] = field(default_factory=list)
    held: int | None = None
    skew: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def validators(self) -> dict[str, str]:
        return {name: value for name, value in (("ETag", self.etag), ("Last-Modified", self.modified)) if value}


@dataclass(frozen=True)
class Asked:
    """A request: its target as the client wrote it, and two of its headers."""

    target: str
    range: str | None = None
    if_range: str | None = None


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(Asked(self.path, self.headers["Range"], self.headers["If-Range"]))
        file = self.server.files.get(urlsplit(self.path).path, Served(status=404))
        if file.status != 200:
            self._refuse(file)
            return
        start = self._start(file)
        if start >= len(file.body) > 0:
            self.send_error(416)
            return
        self._head(file, start)
        rest = file.body[start:]
        with contextlib.suppress(OSError):  # a client that goes away is part of the test
            self._body(file, rest)

    def _refuse(self, file: Served) -> None:
        self.send_response(file.status)
        for name, value in {"Content-Length": "0", **file.extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def _start(self, file: Served) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        wanted = self.headers["If-Range"] in {None, *file.validators().values()}
        return int(match[1]) + file.skew if match and wanted and file.ranges else 0

    def _head(self, file: Served, start: int) -> None:
        self.send_response(206 if start else 200)
        headers = file.validators()
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(file.body) - 1}/{len(file.body)}"
        if file.sized:
            headers["Content-Length"] = str(len(file.body) - start)
        for name, value in {**headers, **file.extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, file: Served, rest: bytes) -> None:
        if file.sends:
            rest = rest[: file.sends.pop(0)]
        if file.held is not None:
            self.wfile.write(rest[: file.held])
            self.server.gate.wait(timeout=60)
            rest = rest[file.held :]
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """files: by path. asked: all requests. gate: opens what is held."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.gate = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: object) -> None:
        """A client that goes away is part of the test."""


@contextlib.contextmanager
def running() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()
