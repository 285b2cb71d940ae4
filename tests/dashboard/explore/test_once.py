"""From an upload to its map the picture is found once, decoded once, and its memory asked once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from tests.dashboard.support import assert_drawn, engine_trace, noise_png, open_small


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of these was called since the test began."""
    counted: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **options: Any) -> Any:
            counted[name] += 1
            return function(*args, **options)

        return count

    for room, names in (
        (pictures, ("keep_upload", "find_upload", "sample_picture", "decode")),
        (ve, ("estimate", "prepare_image", "attend")),
    ):
        for name in names:
            monkeypatch.setattr(room, name, counting(name, getattr(room, name)))
    return counted


@pytest.mark.usefixtures("fresh_caches")
def test_an_upload_goes_one_way_and_a_rerun_asks_for_what_is_kept(calls: Counter[str]) -> None:
    at = open_small()
    at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    data = noise_png(41)
    expected = engine_trace(data, "demo_vit_p16", 96)
    calls.clear()
    at.file_uploader(key=keys.UPLOAD).set_value(("noise.png", data, "image/png")).run()
    assert_drawn(at, expected, layer=5)
    assert calls == {"keep_upload": 1, "decode": 1, "estimate": 1, "prepare_image": 1, "attend": 1}
    calls.clear()
    at.slider(key=keys.LAYER).set_value(2).run()
    assert calls == {"find_upload": 1, "estimate": 1}
    calls.clear()
    at.switch_page("views/heads.py").run()
    assert calls == {"find_upload": 1, "estimate": 1}


def test_a_sample_is_found_once(calls: Counter[str]) -> None:
    at = open_small()
    calls.clear()
    at.run()
    assert calls == {"sample_picture": 1, "estimate": 1}
