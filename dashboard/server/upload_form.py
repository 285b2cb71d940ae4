"""The beginning of an upload's body: which file it is, before its bytes are taken."""

from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.types import Message, Receive

MAX_HEAD = 16_384  # bytes
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Head:
    """The messages that were received to read it, its length in bytes, and the file's name."""

    messages: tuple[Message, ...]
    length: int
    name: str


async def read_head(receive: Receive) -> Head | None:
    """Receive a form until its first part begins; None where there is no file in it, or the body ends."""
    messages: list[Message] = []
    body = b""
    while _END not in body:
        message = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if len(body) > MAX_HEAD or not message.get("more_body", False):
            break
    lines, found, _ = body.partition(_END)
    name = _file_name(lines)
    if not found or len(lines) > MAX_HEAD or name is None:
        return None
    return Head(tuple(messages), len(lines) + len(_END), name)


def _file_name(lines: bytes) -> str | None:
    for line in lines.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
            name = options.get(b"filename")
            return None if name is None else name.decode("utf-8", "replace")
    return None
