"""Models in memory are bounded in bytes, the least recently used out first, and can be taken out."""

import weakref
from typing import Any

import pytest

import vit_engine as ve
from dashboard.services import catalogue, limits, memory, pictures
from tests.dashboard.support import ignore, noise_png, request

P16, P8, RANDOM = "demo_vit_p16", "demo_vit_p8", "random_vit_tiny_p16"
pytestmark = pytest.mark.usefixtures("fresh_caches")


def size(name: str) -> int:
    return memory.model_bytes(catalogue.models()[name])


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The name of each model that is loaded, and the bytes of those in memory when that begins."""
    load, seen = ve.load_model, []

    def counting(name: str, **options: Any) -> ve.LoadedModel:
        seen.append((name, sum(held.nbytes for held in memory.in_memory().values())))
        return load(name, **options)

    monkeypatch.setattr(ve, "load_model", counting)
    return seen


def test_what_is_in_memory_is_told_with_its_bytes_and_device() -> None:
    loaded = memory.load_model(P16, ignore)
    held = memory.in_memory()[P16]
    assert (held.name, held.nbytes, held.device) == (P16, loaded.nbytes, "cpu")
    assert held.nbytes == size(P16)


def test_room_is_made_before_a_model_is_loaded_by_the_least_recently_used(
    loads: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = size(RANDOM) + size(P16) + size(P8) - 1
    monkeypatch.setattr(limits, "MODEL_BYTES", bound)
    for name in (P16, P8, P16, RANDOM):
        memory.load_model(name, ignore)
    assert set(memory.in_memory()) == {P16, RANDOM}
    assert [name for name, _ in loads] == [P16, P8, RANDOM]
    assert all(before + size(name) <= bound for name, before in loads)


def test_a_model_over_the_bound_is_refused_before_it_is_loaded_or_drives_others_out(
    loads: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MODEL_BYTES", size(RANDOM) - 1)
    memory.load_model(P16, ignore)
    with pytest.raises(ve.ResourceError, match=r"Random ViT-Ti/16 takes .* VIT_DASHBOARD_MODEL_BYTES"):
        memory.load_model(RANDOM, ignore)
    picture = pictures.keep_upload(noise_png(60), ignore)
    assert "kept here" in request(picture, RANDOM, 96).cost.refusal
    assert not request(picture, P16, 96).cost.refusal
    assert set(memory.in_memory()) == {P16}
    assert [name for name, _ in loads] == [P16]


def test_unloading_frees_the_model_and_keeps_its_report(loads: list[tuple[str, int]]) -> None:
    loaded = memory.load_model(P16, ignore)
    report, model = loaded.report, weakref.ref(loaded.model)
    memory.load_model(P8, ignore)
    del loaded
    assert memory.unload(P16) == size(P16)
    assert model() is None
    assert set(memory.in_memory()) == {P8}
    assert memory.load_report(P16) is report
    assert memory.unload(P16) == 0
    memory.load_model(P16, ignore)
    assert [name for name, _ in loads] == [P16, P8, P16]


def test_there_is_no_report_before_a_model_is_loaded() -> None:
    assert memory.load_report(P16) is None
