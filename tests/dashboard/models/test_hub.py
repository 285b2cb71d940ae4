"""A model of the Hugging Face hub: looked up, downloaded, drawn, compared, and reopened by a link."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import catalogue, downloads, limits
from dashboard.services.checkpoints import hub as hub_models
from dashboard.services.checkpoints import user_models
from dashboard.testing import clear_caches, decode_figure, open_app
from tests.dashboard.checkpoints import engine_trace_of, opened
from tests.dashboard.downloads import PATIENCE, watch_downloads
from tests.dashboard.support import SMALL, assert_drawn, ignore, open_small
from tests.vit_engine.weights.hub_models import dinov2_files, pickled_files, with_config
from tests.vit_engine.weights.hub_server import TOKEN, Hub, Repo, hub_in_use

pytestmark = pytest.mark.usefixtures("fresh_caches")
NAME = "meta/dinov2-tiny"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_in_use(monkeypatch, tmp_path / "huggingface") as hub:
        hub.repos[NAME] = Repo(dict(dinov2_files()))
        yield hub


def source(hub: Hub, name: str = NAME) -> str:
    return f"hf:{name}@{hub.repos[name].commit}"


def looked_up(text: str) -> AppTest:
    """The page Models, after somebody wrote this into its field."""
    at = opened()
    at.segmented_control(key=keys.CHECKPOINT_SOURCE).set_value("hub").run()
    at.text_input(key=keys.HUB_MODEL).set_value(text).run()
    assert not at.exception
    return at


def button_keys(at: AppTest) -> set[str | None]:
    return {button.key for button in at.button}


def page_text(at: AppTest) -> str:
    return " ".join(str(each.proto) for each in at.main.get("html")) + " ".join(each.value for each in at.markdown)


def download() -> str:
    """In this process, and not through the dashboard."""
    return ve.load_model(NAME, device="cpu").report.source


@pytest.mark.parametrize(
    "text", [NAME, f" hf:{NAME} ", f"https://huggingface.co/{NAME}", f"https://hf.co/{NAME}/tree/main"]
)
def test_a_name_or_an_address_says_what_the_model_is_before_its_weights_come(hub: Hub, text: str) -> None:
    at = looked_up(text)
    shown = page_text(at)
    for fact in ("dinov2\\_with\\_registers", "apache-2.0", "4 px", hub.repos[NAME].commit, "model.safetensors"):
        assert fact in shown
    assert at.button(key=keys.DOWNLOAD_HUB_MODEL).label.startswith("Download · ")
    assert set(hub.fetched()) == {"config.json"}
    asked = len(hub.asked)
    at.run()
    assert len(hub.asked) == asked


def test_a_download_is_seen_and_stopped_by_any_session_and_makes_a_model_for_all(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watch_downloads(monkeypatch, source(hub))
    size = len(hub.repos[NAME].files["model.safetensors"])
    hub.held = size * 3 // 4
    at = looked_up(NAME)
    at.button(key=keys.DOWNLOAD_HUB_MODEL).click().run()
    assert watched.halfway.wait(PATIENCE)
    other = looked_up(f"hf:{NAME}")
    other.button(key=keys.CANCEL_HUB_DOWNLOAD).click().run()
    assert downloads.find_download(source(hub)) is None
    hub.gate.set()
    watched.wait_for_the_end()
    hub.held = None

    at.run()
    at.button(key=keys.DOWNLOAD_HUB_MODEL).click().run()
    assert watched.wait_for_the_end() is None
    ranges = [each.range for each in hub.asked if each.host == "cdn" and each.method == "GET"]
    assert ranges[0] is None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > size // 3

    at.run()
    assert not at.exception
    assert NAME in at.success.values[0].replace("\\", "")
    row = at.dataframe(key=keys.MODELS_TABLE).value.set_index("model").loc[NAME]
    assert (row["status"], row["licence"]) == ("✓ ready · Hugging Face", "apache-2.0")
    assert NAME in open_app(**SMALL).selectbox(key=keys.MODEL).options
    at.button(key=keys.OPEN_CHECKPOINT).click().run()
    assert_drawn(at, engine_trace_of(source(hub), heads=None), layer=1)
    assert at.query_params == {**SMALL, "model": source(hub)}
    assert any("from Hugging Face" in one.value for one in at.main.markdown)


def test_a_link_reopens_what_is_in_the_cache_without_the_hub(hub: Hub) -> None:
    name = download()
    hub.status = 503
    at = open_small(model=name)
    assert not at.warning
    assert_drawn(at, engine_trace_of(name, heads=None), layer=1)
    clear_caches()
    assert_drawn(open_small(model=name), engine_trace_of(name, heads=None), layer=1)


def test_a_link_to_what_is_not_here_asks_before_it_downloads(hub: Hub) -> None:
    at = open_small(model=source(hub))
    assert "is not on this server yet" in at.warning.values[0].replace("\\", "")
    assert at.selectbox(key=keys.MODEL).value == "demo_vit_p8"
    assert hub.asked == []
    at.switch_page("views/models.py").run()
    assert at.text_input(key=keys.HUB_MODEL).value == source(hub)
    assert keys.DOWNLOAD_HUB_MODEL in button_keys(at)
    assert set(hub.fetched()) == {"config.json"}


def test_a_link_without_a_commit_says_so_and_has_its_name_filled_in(hub: Hub) -> None:
    name = download()
    hub.asked.clear()
    at = open_small(model=f"hf:{NAME}")
    assert "names no commit" in at.warning.values[0]
    assert "not on this server" not in at.warning.values[0]
    assert hub.asked == []
    at.switch_page("views/models.py").run()
    assert at.text_input(key=keys.HUB_MODEL).value == f"hf:{NAME}"
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert name in catalogue.models()


def test_what_was_downloaded_here_is_known_by_its_name_without_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watch_downloads(monkeypatch, source(hub))
    hub.held = len(hub.repos[NAME].files["model.safetensors"]) // 2
    looked_up(NAME).button(key=keys.DOWNLOAD_HUB_MODEL).click().run()
    hub.gate.set()  # only now: the page that asked for it would add it
    assert watched.wait_for_the_end() is None
    hub.status = 503
    at = looked_up(NAME)
    assert not at.error
    assert keys.ADD_CHECKPOINT in button_keys(at)


@pytest.mark.usefixtures("hub")
def test_what_was_removed_is_no_longer_said_to_be_added() -> None:
    name = download()
    at = looked_up(NAME)
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert "Added as" in at.success.values[0]
    at.session_state[keys.SHOWN_MODEL] = name
    at.run().button(key=keys.REMOVE_MODEL).click().run()
    assert keys.ADD_CHECKPOINT in button_keys(at)
    assert not at.success


@pytest.mark.usefixtures("hub")
def test_a_pane_of_compare_is_of_the_hub() -> None:
    name = download()
    at = open_app(picture="scene_1", size="96", pane=[f"{name}:1:mean", "demo_vit_p8:5:mean"])
    at.switch_page("views/compare.py").run()
    at.run()
    assert not at.exception
    assert at.query_params["pane"] == [f"{name}:1:mean", "demo_vit_p8:5:mean"]
    assert {"attention A", "attention B"} <= set(decode_figure(at, keys.COMPARISON))


def test_heads_that_nothing_says_are_asked_for(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(pickled_files()["pytorch_model.bin"])
    state, file = torch.load(tmp_path / "w.bin"), io.BytesIO()
    torch.save({"student": state, "teacher": state}, file)
    hub.repos["me/run"] = Repo({"run.pth": file.getvalue()})
    with pytest.raises(ve.CheckpointError, match="does not say how many heads"):
        ve.load_model("me/run", device="cpu")
    at = looked_up("me/run")
    at.selectbox(key=keys.CHECKPOINT_HEADS).set_value(3).run()
    at.button(key=keys.ADD_CHECKPOINT).click().run()
    assert not at.exception
    (name,) = [name for name in catalogue.models() if name.startswith("hf:")]
    assert name == f"{source(hub, 'me/run')}@3"
    assert catalogue.models()[name].heads == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meta/nothing", "There is no model 'meta/nothing' on the Hugging Face hub"),
        ("not a name", "names no model on the Hugging Face hub"),
        (f"{NAME}@v9", "has no revision 'v9'"),
        ("google/bert", "of the model type 'bert'"),
        ("meta/gated", "is gated: its owner gives access"),
    ],
)
def test_what_cannot_be_had_says_why_and_can_be_asked_for_again(hub: Hub, text: str, words: str) -> None:
    hub.repos["google/bert"] = Repo(with_config(model_type="bert"))
    hub.repos["meta/gated"] = Repo(dict(dinov2_files()), gated=True)
    at = looked_up(text)
    assert words in at.error.values[0].replace("\\", "").replace("\u2060", "")
    hub.repos[text] = Repo(dict(dinov2_files()))
    at.button(key=keys.LOOK_UP_AGAIN).click().run()
    assert (not at.error) == (text in {"meta/nothing", "google/bert", "meta/gated"})


def test_a_gated_model_that_this_server_may_read_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[NAME].gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    shown = page_text(looked_up(NAME))
    assert "material/lock: gated" in shown
    assert "its owner has granted it to this server" in shown


def test_a_model_that_memory_cannot_hold_is_not_offered(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MODEL_BYTES", 1000)
    at = looked_up(NAME)
    assert "and models may take 1.00 kB of memory here" in at.error.values[0].replace("\\", "")
    assert keys.DOWNLOAD_HUB_MODEL not in button_keys(at)
    assert "model.safetensors" not in hub.fetched()


def test_a_failed_download_can_be_tried_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch_downloads(monkeypatch, source(hub))
    hub.corrupt = True
    at = looked_up(NAME)
    at.button(key=keys.DOWNLOAD_HUB_MODEL).click().run()
    assert isinstance(watched.wait_for_the_end(), ve.DownloadError)
    at.run()
    assert "as the hub says. It was thrown away" in at.error.values[0].replace("\\", "")
    assert str(hub.cache) not in at.error.values[0]
    assert at.button(key=keys.DOWNLOAD_HUB_MODEL).label.startswith("Try again")


def test_a_server_can_keep_away_from_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = download()
    monkeypatch.setenv(hub_models.VARIABLE, "off")
    hub.asked.clear()
    assert at_sources(opened()) == ["From the server's folder", "Upload"]
    at = open_small(model=name)
    assert "switched off on this server" in at.warning.values[0]
    with pytest.raises(ve.CheckpointError, match="switched off"):
        user_models.add(name, ignore)
    with pytest.raises(ve.CheckpointError, match="switched off"):
        hub_models.parse_hub_text(NAME)
    assert hub.asked == []


def at_sources(at: AppTest) -> list[str]:
    return [option.content for option in at.segmented_control(key=keys.CHECKPOINT_SOURCE).proto.options]


def test_a_model_whose_files_are_gone_from_the_cache_is_no_longer_one(hub: Hub) -> None:
    name = user_models.add(download(), ignore).name
    assert name in catalogue.models()
    for path in hub.cache.glob("*/snapshots/*/*"):
        path.unlink()
    assert name not in set(catalogue.models())
