"""The form of an upload as it comes in: one file and nothing else, whose name is known before its bytes are taken.

It is read by the parser that Starlette reads it with, so that both find the same parts and names in it.
"""

from http import HTTPStatus

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from dashboard.server.responses import header_values

MAX_HEAD = 16_384  # bytes


class Form:
    """What of a form has come in. HTTPException with 400 for one that is anything but a single file."""

    def __init__(self, boundary: bytes) -> None:
        self.begun = False  # whether the file's headers are complete
        self.name = ""  # the file's, from then on
        self.received = self.data = 0  # bytes of the whole form, and of the file
        self.messages: list[Message] = []  # that were received to read its head
        self._parts = 0
        self._field = self._value = self._disposition = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._extend_field,
                    "on_header_value": self._extend_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._count_data,
                },
            )
        except FormParserError:  # of a boundary that is too long
            raise _no_form() from None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the form."""
        self.received += len(piece)
        try:
            self._parser.write(piece)
        except FormParserError:
            raise _no_form() from None

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise _no_form()

    def _extend_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _extend_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None or b"name" not in options:
            raise _no_form()
        self.name = _decode(name)
        self.begun = True

    def _count_data(self, data: bytes, start: int, end: int) -> None:  # noqa: ARG002  (as the parser calls it)
        self.data += end - start


async def read_head(scope: Scope, receive: Receive) -> Form:
    """Receive a form until its file begins. HTTPException with 400 where there is no file in it, or the body ends."""
    form = Form(_boundary(scope))
    while not form.begun:
        message = await receive()
        form.messages.append(message)
        form.feed(message.get("body", b""))
        if not form.begun and (form.received > MAX_HEAD or not message.get("more_body", False)):
            raise _no_form()
    return form


def _boundary(scope: Scope) -> bytes:
    """What the request says that parts are separated by."""
    kinds = header_values(scope, b"content-type")
    kind, options = parse_options_header(kinds[0] if len(kinds) == 1 else "")
    in_utf8 = options.get(b"charset", b"utf-8").lower() == b"utf-8"  # in another one a name would be another name
    if kind != b"multipart/form-data" or not options.get(b"boundary") or not in_utf8:
        raise _no_form()
    return options[b"boundary"]


def _decode(name: bytes) -> str:
    """A file's name as Starlette decodes it."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _no_form() -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, "400: a form with one file and nothing else was expected.")
