"""Fixtures of the browser tests: the running app, and a Chromium to look at it with."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.server import FLAGS, HOW_TO_GET_ONE, Server, find_chromium, running_dashboard
from tests.browser.support import opened_by
from tests.conftest import LEFT_OUT

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; without a browser leave it out, but never in CI, where it fails.

    These files take longest: they come first, so that no worker of pytest-xdist begins one when the others end.
    """
    items.sort(key=lambda item: HERE not in item.path.parents)
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker("browser")
    if here and find_chromium() is None and os.environ.get("CI") != "true":
        items[:] = [item for item in items if item not in here]
        config.hook.pytest_deselected(items=here)
        config.stash[LEFT_OUT] = len(here)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright's launch options, for a browser that Playwright did not install itself."""
    chromium = find_chromium()
    if chromium is None:
        pytest.fail(HOW_TO_GET_ONE, pytrace=False)
    return {**browser_type_launch_args, "executable_path": chromium, "args": list(FLAGS)}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard as `make run` starts it, on a free port, for the whole session."""
    with running_dashboard(tmp_path_factory.mktemp("server") / "streamlit.log") as server:
        yield server


@pytest.fixture(scope="session")
def opener(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    """A page that stays open. What it opens of the same site runs in its process, which compiles each script once."""
    context = browser.new_context(**browser_context_args)
    opener = context.new_page()
    opener.route("**/*", lambda route: route.fulfill(content_type="text/html", body=""))
    opener.goto("http://127.0.0.1/")  # the site of servers on every port
    yield opener
    context.close()


@pytest.fixture
def page(opener: Page) -> Iterator[Page]:
    """An empty page, in a browser that has scripts in its cache, but no cookies and nothing in its storage."""
    page = opened_by(opener)
    yield page
    page.close()
    session = opener.context.new_cdp_session(opener)
    session.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "cookies,local_storage,indexeddb"})
    session.detach()
