"""A form of an upload has one file and nothing else, and its name is what Streamlit keeps it under."""

import pytest

from dashboard.server import held
from dashboard.server.uploads import UploadGuard
from tests.dashboard.server.asgi import call, http_scope, text
from tests.dashboard.server.client import BOUNDARY, form
from tests.dashboard.server.receiving import bodies, kept, scope


def part(disposition: str, data: bytes = b"1") -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FILE = 'name="f"; filename="a.pth"'


@pytest.mark.parametrize("piece", [1, 65536])
@pytest.mark.parametrize("second", ['name="f"; filename="b.png"', 'name="g"; filename="b.pth"', 'name="g"', "x=1"])
def test_a_second_part_is_refused_as_soon_as_it_begins(guard: UploadGuard, second: str, piece: int) -> None:
    for first in (FILE, 'name="g"'):
        data = part(first) + part(second)[:-4]
        pieces = [message | {"more_body": True} for message in bodies(data, piece)]
        sent = call(guard, scope("a", "f", None), *pieces)
        assert (sent[0]["status"], text(sent)[:28]) == (400, "400: a form with one file an")
    assert (kept("a"), guard._transfers) == ({}, set())


@pytest.mark.parametrize("piece", [1, 7, 65536])
def test_a_file_may_hold_what_looks_like_another_form(guard: UploadGuard, piece: int) -> None:
    inner = (
        form("b.png", b"2").replace(BOUNDARY.encode(), b"another") + f"\r\n--{BOUNDARY}5\r\n--{BOUNDARY[:-1]}".encode()
    )
    data = part(FILE, inner) + END
    assert call(guard, scope("a", "f", len(data)), *bodies(data, piece))[0]["status"] == 204
    assert held.files_of("a")["f"].data == inner


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="f"; filename="a.pth"; filename*=utf-8\'\'b.png', "a.pth"),
        ('name="f"; filename*=utf-8\'\'b.pth; filename="é.png"', "é.png"),
        ("name=\"f\"; filename*=utf-8''b.pth", None),
        ('name="f"', None),
        ('filename="a.pth"', None),
    ],
)
def test_a_files_name_is_its_plain_one(guard: UploadGuard, disposition: str, name: str | None) -> None:
    data = part(disposition) + END
    assert call(guard, scope("a", "f", len(data)), *bodies(data))[0]["status"] == (400 if name is None else 204)
    assert [record.name for record in held.files_of("a").values()] == ([] if name is None else [name])


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "multipart/form-data",
        f"multipart/form-data; boundary={BOUNDARY}; charset=cp037",
        "multipart/form-data; boundary=" + "x" * 999,
    ],
)
def test_what_is_not_said_to_be_a_form_is_refused(guard: UploadGuard, kind: str) -> None:
    other = http_scope("/_stcore/upload_file/a/f", "PUT", headers=[("content-type", kind)])
    assert call(guard, other, *bodies(form("a.png", b"1")))[0]["status"] == 400
