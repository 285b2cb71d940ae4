"""The headers of every answer."""

import pytest

from dashboard.server.headers import VARIABLE, ProtectiveHeaders
from tests.dashboard.server.asgi import Inner, answer, call, headers, http_scope, websocket_scope

OWN = {
    "content-security-policy": "frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


@pytest.mark.parametrize("status", [200, 204, 304, 404, 413])
def test_every_answer_has_them_beside_its_own(status: int) -> None:
    inner = Inner(*answer(status=status, content_type="text/css", x_frame_options="ALLOWALL"))
    assert headers(call(ProtectiveHeaders(inner), http_scope())) == OWN | {"content-type": "text/css"}


def test_an_error_has_them_and_is_still_raised() -> None:
    async def broken(*_: object) -> None:
        raise LookupError("secret")

    sent = []

    async def send(message) -> None:
        sent.append(message)

    calling = ProtectiveHeaders(broken)(http_scope(), None, send)  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        calling.send(None)
    assert (sent[0]["status"], headers(sent)["x-frame-options"]) == (500, "SAMEORIGIN")
    assert sent[1]["body"] == b"Internal Server Error"


def test_a_websockets_messages_are_left_alone() -> None:
    accept = {"type": "websocket.accept", "subprotocol": "streamlit"}
    assert call(ProtectiveHeaders(Inner(dict(accept))), websocket_scope([])) == [accept]


@pytest.mark.parametrize(
    ("value", "policy", "frames"),
    [
        ("", "frame-ancestors 'self'", "SAMEORIGIN"),
        ("'none'", "frame-ancestors 'none'", "DENY"),
        ("*", "frame-ancestors *", None),
        ("none", "frame-ancestors 'none'", "DENY"),
        ("'self', https://*.example.org:8443", "frame-ancestors 'self' https://*.example.org:8443", None),
        ("lab.example.org https:", "frame-ancestors lab.example.org https:", None),
    ],
)
def test_others_may_be_let_frame_it(
    monkeypatch: pytest.MonkeyPatch, value: str, policy: str, frames: str | None
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    found = headers(call(ProtectiveHeaders(Inner(*answer())), http_scope()))
    assert (found["content-security-policy"], found.get("x-frame-options")) == (policy, frames)


@pytest.mark.parametrize(
    "value", ["'self'; script-src *", "https://a\r\nSet-Cookie:b", "javascript:x", '"a"', "a;", "é"]
)
def test_what_is_no_source_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=r"VIT_DASHBOARD_FRAME_ANCESTORS must list origins such as .*; got "):
        ProtectiveHeaders(Inner())
