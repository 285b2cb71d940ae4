"""What receives uploads in tests, with small bounds, and how to send it some."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.types import Message
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from dashboard.server import held
from dashboard.server.uploads import UploadGuard
from tests.dashboard.server.asgi import call, http_scope, text
from tests.dashboard.server.client import BOUNDARY, form

MB = 1 << 20
CHECKPOINT = 2 * MB - 512  # Streamlit's own limit is for a whole form


@dataclass
class Runtime:
    """What of Streamlit's runtime uploads have to do with. Sessions "a" and "b" are connected."""

    uploaded_file_mgr: MemoryUploadedFileManager
    active: set[str] = field(default_factory=lambda: {"a", "b"})
    closed: list[str] = field(default_factory=list)

    def is_active_session(self, session: str) -> bool:
        return session in self.active

    def close_session(self, session: str) -> None:
        self.closed.append(session)
        if session != "ended":  # as of one that it does not know any more
            self.uploaded_file_mgr.remove_session_files(session)


def bodies(data: bytes, piece: int = 65536) -> Iterator[Message]:
    for start in range(0, len(data), piece):
        more = start + piece < len(data)
        yield {"type": "http.request", "body": data[start : start + piece], "more_body": more}


def scope(session: str, file: str, length: int | None):
    headers = [("content-type", f"multipart/form-data; boundary={BOUNDARY}")]
    headers += [] if length is None else [("content-length", str(length))]
    return http_scope(f"/_stcore/upload_file/{session}/{file}", "PUT", headers=headers)


def put(guard: UploadGuard, session: str, file: str, name: str, size: int, *, claimed: bool = True) -> tuple[int, str]:
    """Upload `size` bytes; status and text of the answer."""
    data = form(name, b"\0" * size)
    sent = call(guard, scope(session, file, len(data) if claimed else None), *bodies(data))
    return sent[0]["status"], text(sent)


def kept(session: str) -> dict[str, int]:
    return {file: len(record.data) for file, record in held.files_of(session).items()}
