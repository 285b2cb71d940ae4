"""One request for a file, or for the rest of one.

A socket's timeout is for each address and each byte, and none is for the name's look-up: behind a firewall that
answers nothing they add up to minutes. So a thread of its own connects, which is waited for within CONNECT_WITHIN.
"""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread

CONNECT_WITHIN = 8.0  # seconds until the answer begins, all addresses together
TIMEOUT = 10.0  # seconds without a byte
PIECE = 1 << 20

_STATUS = {
    401: "it wants a login",
    403: "the server refuses it; its licence may have to be accepted first",
    404: "there is no such file",
    407: "the proxy wants a login",
    416: "there is no such part of the file",
    429: "too many requests; try again later",
}


class Failure(Exception):  # noqa: N818
    """An address does not give the file, another one may: why, without a full stop. status: of HTTP, if that was it."""

    def __init__(self, reason: str, *, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Broken(Failure):
    """No answer, or one that ended too early; what has come stays, and the rest may be asked for."""


@dataclass(frozen=True)
class Answer:
    """The head of an answer, and its body, which has not been read."""

    response: http.client.HTTPResponse
    start: int  # the byte of the file that the body begins with
    total: int | None  # bytes of the whole file; None where the server does not say
    validator: str | None  # what names this version of the file; None where nothing does

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes; Broken where the connection ends, or nothing comes for TIMEOUT seconds."""
        try:
            while piece := self.response.read(PIECE):
                yield piece
        except TimeoutError as error:
            raise Broken(f"timed out: nothing came for {TIMEOUT:g} seconds") from error
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"the connection broke ({_words(error)})") from error


def ask(url: str, *, start: int = 0, validator: str | None = None) -> Answer:
    """The answer to a request for a file; with a validator, for its bytes from `start` if it is still that version."""
    wanted = {"Range": f"bytes={start}-", "If-Range": validator} if validator else {}
    response = _connect(urllib.request.Request(url, headers=wanted))
    try:
        answer = _read_head(response)
        if answer.start and not validator:
            raise Failure("the server sent a part of the file, and all of it was asked for")
        return answer
    except Failure:
        response.close()
        raise


def _read_head(response: http.client.HTTPResponse) -> Answer:
    kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
    if kind == "text/html":
        raise Failure("a web page came instead of a file: perhaps a login page of the network")
    etag = response.headers.get("ETag", "")
    # Where there is no strong one, the date: If-Range must not have a weak one (RFC 9110, 13.1.5).
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return Answer(response, 0, response.length, validator)
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if match is None:
        raise Failure("the server sent a part of the file and did not say which")
    return Answer(response, int(match[1]), None if match[2] == "*" else int(match[2]), validator)


def _connect(request: urllib.request.Request) -> http.client.HTTPResponse:
    answer: Future[http.client.HTTPResponse] = Future()
    Thread(target=_send, args=(request, answer), name="vit-engine download", daemon=True).start()
    if not wait([answer], timeout=CONNECT_WITHIN).done:
        answer.add_done_callback(_close)  # what comes after the one who asked has gone
        raise Broken(f"no answer within {CONNECT_WITHIN:g} seconds")
    try:
        return answer.result()
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection open
        words = _STATUS.get(error.code) or ("the server has trouble; try again later" if error.code >= 500 else "")
        raise Failure(f"HTTP {error.code}, {words or error.reason}", status=error.code) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Broken(_words(error)) from error


def _send(request: urllib.request.Request, answer: Future[http.client.HTTPResponse]) -> None:
    try:
        # An opener of its own: urlopen's keeps the proxies that the environment had at its first call.
        answer.set_result(urllib.request.build_opener().open(request, timeout=TIMEOUT))
    except Exception as error:  # noqa: BLE001  # it is raised where the answer is waited for
        answer.set_exception(error)


def _close(answer: Future[http.client.HTTPResponse]) -> None:
    error = answer.exception()
    if error is None:
        answer.result().close()
    elif isinstance(error, urllib.error.HTTPError):
        error.close()


def _words(error: BaseException) -> str:
    """What an error says, without its number."""
    reason = getattr(error, "reason", error)  # a URLError is about another error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
