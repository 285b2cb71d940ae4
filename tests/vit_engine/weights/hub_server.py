"""A small Hugging Face hub on the loopback: its API, its redirects to another host, its errors, with their headers."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest

LFS = (".safetensors", ".bin", ".onnx", ".onnx_data", ".h5", ".gguf", ".pth")
TOKEN = "hf_reader"  # of somebody who has access to everything
STRANGER = "hf_stranger"  # of somebody who has access to nothing that is gated or private


@dataclass
class Repo:
    """A model. missing: files that are listed and not given."""

    files: dict[str, bytes]
    licence: str | None = "apache-2.0"
    gated: bool = False
    private: bool = False
    missing: tuple[str, ...] = ()

    @property
    def commit(self) -> str:
        content = b"".join(name.encode() + data for name, data in sorted(self.files.items()))
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Asked:
    """A request: on which of the two hosts, and what the client said."""

    method: str
    host: str  # "hub" or "cdn"
    path: str
    range: str | None
    authorization: str | None


class _Handler(BaseHTTPRequestHandler):
    server: "_Host"
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        token = self.headers["Authorization"]
        hub.asked.append(Asked(self.command, self.server.name, path, self.headers["Range"], token))
        self.token = (token or "").removeprefix("Bearer ")
        if hub.status is not None:
            return self._refuse(hub.status, message="Internal trouble")
        if self.server.name == "cdn":
            return self._give(hub.blobs()[path.removeprefix("/")])
        if match := re.fullmatch(r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<revision>.+))?", path):
            return self._api(hub.moved.get(match["repo"], match["repo"]), match["revision"] or "main")
        if match := re.fullmatch(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path):
            return self._resolve(match["repo"], match["revision"], match["file"])
        return self._refuse(404)

    def _repo(self, name: str, revision: str) -> Repo | None:
        """A repository that may be seen at a revision; None after an answer that says why not."""
        repo = self.server.hub.repos.get(name)
        if self.token == "invalid":
            self._refuse(401, message="Invalid credentials in Authorization header")
        elif repo is None or (repo.private and self.token != TOKEN):
            # The hub does not say whether there is one to those who have no token.
            self._refuse(404 if self.token else 401, code="RepoNotFound", message="Repository not found")
        elif revision not in {"main", "v1.0", "refs/pr/1", repo.commit}:
            self._refuse(404, code="RevisionNotFound", message=f"Invalid rev id: {revision}")
        else:
            return repo
        return None

    def _api(self, name: str, revision: str) -> None:
        if (repo := self._repo(name, revision)) is None:
            return
        siblings = []
        for file, data in repo.files.items():
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            sibling = {
                "rfilename": file,
                "size": len(data),
                "blobId": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            }
            siblings.append(sibling | ({"lfs": lfs} if file.endswith(LFS) else {}))
        answer = {"id": name, "modelId": name, "sha": repo.commit, "private": repo.private, "siblings": siblings}
        answer |= {"gated": "auto" if repo.gated else False, "tags": [], "downloads": 0, "likes": 0}
        answer |= {"cardData": {"license": repo.licence}} if repo.licence else {}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if (repo := self._repo(name, revision)) is None:
            return None
        if repo.gated and self.token != TOKEN:
            words = f"Access to model {name} is restricted and you are not in the authorized list."
            return self._refuse(403 if self.token else 401, code="GatedRepo", message=words)
        if file not in repo.files or file in repo.missing:
            return self._refuse(404, code="EntryNotFound", message="Entry not found")
        data = repo.files[file]
        if not file.endswith(LFS):
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return self._give(data, {"ETag": f'"{etag}"', "X-Repo-Commit": repo.commit})
        sha256 = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": repo.commit, "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(data))}
        return self._send(302, b"", {**headers, "Location": f"{self.server.hub.cdn_url}/{sha256}"})

    def _give(self, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(match[1]) if match and self.server.hub.ranges else 0
        whole = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self._send(206 if start else 200, data[start:], {**(headers or {}), **whole})

    def _refuse(self, status: int, *, code: str = "", message: str = "") -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(OSError):  # a client that goes away is part of the test
                self._body(body)

    def _body(self, body: bytes) -> None:
        hub = self.server.hub
        if self.server.name == "cdn":
            if hub.corrupt:
                body = bytes(len(body))
            if hub.sends:
                self.close_connection = True
                body = body[: hub.sends.pop(0)]
            if hub.held is not None:
                self.wfile.write(body[: hub.held])
                hub.gate.wait(timeout=60)
                body = body[hub.held :]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class _Host(ThreadingHTTPServer):
    daemon_threads = True  # clients keep connections open between requests

    def __init__(self, hub: "Hub", name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.name = hub, name

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: object) -> None:
        """A client that goes away is part of the test."""


@dataclass
class Hub:
    """repos: by name. asked: all requests. status: of every answer, in place of what was asked for. ranges: whether
    the rest of a file may be asked for. sends: how many bytes the next bodies of weights have before the connection
    ends. held: after how many bytes they wait for the gate. corrupt: whether their bytes are others than were stored.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    status: int | None = None
    ranges: bool = True
    sends: list[int] = field(default_factory=list)
    held: int | None = None
    corrupt: bool = False
    moved: dict[str, str] = field(default_factory=dict)
    gate: Event = field(default_factory=Event)
    url: str = ""
    cdn_url: str = ""
    cache: Path = Path()

    def blobs(self) -> dict[str, bytes]:
        files = (data for repo in self.repos.values() for data in repo.files.values())
        return {hashlib.sha256(data).hexdigest(): data for data in files}

    def fetched(self) -> list[str]:
        """Names of files that were asked for with GET, in order, weights by what they are called on the hub."""
        paths = [each.path for each in self.asked if each.method == "GET" and "/resolve/" in each.path]
        return [path.split("/resolve/")[1].partition("/")[2] for path in paths]


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    with contextlib.ExitStack() as stack:
        for name in ("hub", "cdn"):
            host = stack.enter_context(_Host(hub, name))
            thread = Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(host.shutdown)
            setattr(hub, "url" if name == "hub" else "cdn_url", host.url)
        stack.callback(hub.gate.set)
        yield hub


@contextlib.contextmanager
def hub_in_use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """A hub that huggingface_hub takes for the only one, with a cache of its own, no token, and no waits.

    huggingface_hub reads the environment when it is imported, so its constants are replaced.
    """
    constants = huggingface_hub.constants
    with running_hub() as hub:
        hub.cache = folder / "hub"
        monkeypatch.setenv("no_proxy", "*")
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(variable, raising=False)
        values = {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(hub.cache),
            "HF_TOKEN_PATH": str(folder / "token"),
            "HF_STORED_TOKENS_PATH": str(folder / "stored_tokens"),
            "AGENT_HARNESSES_PATH": str(folder / "agents.json"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_TELEMETRY": True,
            "DOWNLOAD_CHUNK_SIZE": 1000,
        }
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
        huggingface_hub.close_session()  # one of another test keeps the proxies that it began with
        yield hub
        huggingface_hub.close_session()


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as a repository has them."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
