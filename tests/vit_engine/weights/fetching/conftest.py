"""What tests of downloads share: a server on the loopback, no proxies or mirrors of the machine's, and no waits."""

from collections.abc import Iterator

import pytest

from tests.vit_engine.weights.serving import Server, running


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing between the test and its server, and no pause before a broken download goes on."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("VIT_ENGINE_MIRROR", raising=False)
    monkeypatch.setattr("vit_engine.weights.fetching.download.WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server
