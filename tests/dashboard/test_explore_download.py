"""A model that has to be fetched and cannot be is told in place, and the rest goes on working."""

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import keys
from tests.dashboard.support import assert_drawn, assert_works, open_small, small_trace
from vit_engine import registry

FETCHED = "dino_vits16"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Where the model's weights are said to be: a port of this machine that nobody listens on."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.pth"
        models = tuple(
            dataclasses.replace(spec, weights=dataclasses.replace(spec.weights, url=address))
            if spec.name == FETCHED and spec.weights
            else spec
            for spec in registry.MODELS
        )
        monkeypatch.setattr(registry, "MODELS", models)
        yield address


def test_a_model_that_cannot_be_fetched_is_told_with_its_address_and_others_still_work(url: str) -> None:
    at = open_small()
    at.selectbox(key=keys.MODEL).set_value(FETCHED).run()
    (error,) = at.main.error
    assert url in error.value
    assert_works(at)
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert not at.error
    assert_drawn(at, small_trace(), layer=5)


def test_a_link_to_it_opens_with_the_reason_and_stays_as_it_is(url: str) -> None:
    at = open_small(model=FETCHED, layer="7")
    assert url in at.main.error.values[0]
    assert at.query_params["model"] == FETCHED
    assert at.query_params["layer"] == "7"
    at.run()
    assert_works(at)
    assert len(at.main.error) == 1


@pytest.mark.usefixtures("url")
def test_the_sidebar_says_that_it_needs_a_download_and_how_large() -> None:
    at = open_small(model=FETCHED)
    assert any("download" in caption.value and " MB" in caption.value for caption in at.sidebar.caption)
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert not any("download" in caption.value for caption in at.sidebar.caption)
