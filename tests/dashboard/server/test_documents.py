"""Streamlit's page says where its server is; nothing else is changed."""

from pathlib import Path

import pytest

from dashboard.server import documents
from dashboard.server.documents import SCRIPT, ServerInPage
from dashboard.server.first_paint import first_paint_script
from tests.dashboard.server.asgi import Inner, answer, call, headers, http_scope, text

PAGE = b'<head><script>1</script><script type="module" src="./static/js/index.js"></script></head>'
BROWSER = [
    ("accept", "text/html,*/*;q=0.8"),
    ("accept-encoding", "gzip"),
    ("if-none-match", '"1"'),
    ("range", "bytes=0-"),
]


@pytest.mark.parametrize("path", ["/", "/compare", "/no-page"])
def test_a_page_names_its_server_before_the_script_that_looks_for_it(path: str) -> None:
    inner = Inner(*answer(PAGE, content_type="text/html; charset=utf-8", content_length="88", etag='"1"'))
    sent = call(ServerInPage(inner), http_scope(path, headers=BROWSER))
    expected = PAGE.replace(b"</script><script type", b"</script>" + SCRIPT + b"<script type")
    assert text(sent).encode() == expected
    assert headers(sent) == {"content-type": "text/html; charset=utf-8", "content-length": str(len(expected))}
    assert [name for name, _ in inner.scopes[0]["headers"]] == [b"accept"], "the page comes whole and as it is"


def test_a_page_may_come_in_pieces() -> None:
    start, _ = answer(content_type="text/html")
    pieces = [
        {"type": "http.response.body", "body": PAGE[n : n + 7], "more_body": True} for n in range(0, len(PAGE), 7)
    ]
    sent = call(ServerInPage(Inner(start, *pieces, {"type": "http.response.body"})), http_scope(headers=BROWSER))
    assert text(sent).count("BACKEND_BASE_URL") == 1


@pytest.mark.parametrize(
    ("path", "method", "accept", "sent"),
    [
        ("/compare", "GET", "*/*", answer(PAGE, content_type="text/html")),
        ("/compare", "HEAD", "text/html", answer(b"", content_type="text/html")),
        ("/compare", "GET", "text/html", answer(PAGE, content_type="text/html", status=404)),
        ("/compare", "GET", "text/html", answer(PAGE, content_type="text/javascript")),
        ("/media/report.html", "GET", "text/html", answer(PAGE, content_type="text/html")),
        ("/component/a/index.html", "GET", "text/html", answer(PAGE, content_type="text/html")),
    ],
)
def test_everything_else_is_passed_on_unchanged(path: str, method: str, accept: str, sent: list) -> None:
    scope = http_scope(path, method, headers=[("accept", accept), ("range", "bytes=0-1")])
    assert call(ServerInPage(Inner(*sent)), scope) == sent


@pytest.mark.parametrize(("path", "changed"), [("/lab/vit", 1), ("/lab/vit/compare", 1), ("/lab/vit/media/a.html", 0)])
def test_pages_below_a_base_path_too(monkeypatch: pytest.MonkeyPatch, path: str, changed: int) -> None:
    monkeypatch.setattr(documents.config, "get_option", {"server.baseUrlPath": "/lab/vit/"}.__getitem__)
    sent = call(ServerInPage(Inner(*answer(PAGE, content_type="text/html"))), http_scope(path, headers=BROWSER))
    assert text(sent).count("BACKEND_BASE_URL") == changed


def test_the_script_that_paints_the_map_first_names_plotlys_module_where_there_is_one(tmp_path: Path) -> None:
    assert b"./static/js/PlotlyChart." in SCRIPT
    assert first_paint_script(tmp_path) == ""
    (tmp_path / "static" / "js").mkdir(parents=True)
    (tmp_path / "static" / "js" / "PlotlyChart.a1.js").touch()
    assert '"./static/js/PlotlyChart.a1.js"' in first_paint_script(tmp_path)
