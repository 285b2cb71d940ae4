"""What the server's middleware means to a real browser: no failed requests, no frames of others, all else works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Response

from tests.browser.server import Server, running_dashboard
from tests.browser.support import TIMEOUT, nothing_amiss, settled

PAGES = ("", "compare", "heads", "models", "guide")
SMALL = "?picture=scene_1&model=demo_vit_p16&size=96"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_loaded_directly_asks_for_nothing_that_is_not_there(
    page: Page, server: Server, name: str
) -> None:
    refused: list[tuple[int, str]] = []

    def look(response: Response) -> None:
        if response.status >= 400:
            refused.append((response.status, response.url))

    page.on("response", look)
    with nothing_amiss(page):
        page.goto(f"{server.url}/{name}{SMALL}")
        settled(page)
    assert refused == []
    assert urlsplit(page.url).path == f"/{name}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server below a base path; every site of this machine may frame it."""
    environment = {"VIT_DASHBOARD_FRAME_ANCESTORS": "http://127.0.0.1:*"}
    with running_dashboard(tmp_path_factory.mktemp("lab") / "log", environment, base="/lab/vit") as server:
        yield server


def test_pages_below_a_base_path_are_loaded_directly_too(page: Page, lab: Server) -> None:
    for name in ("compare", ""):
        with nothing_amiss(page):
            page.goto(f"{lab.url}/{name}{SMALL}")
            settled(page, timeout=3 * TIMEOUT)  # the server may be starting
        assert urlsplit(page.url).path == f"/lab/vit/{name}"


@contextmanager
def other_site(body: str) -> Iterator[str]:
    """The address of another site on this machine, whose only page is this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}/"
        site.shutdown()


FRAME = '<iframe src="{}/guide?embed=true" width="900" height="600"></iframe>'


def test_pages_of_other_sites_cannot_frame_it(page: Page, server: Server) -> None:
    with other_site(FRAME.format(server.url)) as site, page.expect_console_message(is_refusal):
        page.goto(site)


def test_pages_of_listed_sites_can(page: Page, lab: Server) -> None:
    with other_site(FRAME.format(lab.url)) as site:
        page.goto(site)
        page.frame_locator("iframe").get_by_text("attention").first.wait_for()


def is_refusal(message: ConsoleMessage) -> bool:
    return "frame-ancestors 'self'" in message.text
