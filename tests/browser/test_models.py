"""Models in a real browser: a checkpoint of one's own, from its upload to its heatmap; a download that is stopped."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard import keys
from tests.browser.server import Server, running_dashboard
from tests.browser.support import TIMEOUT, chart, settled
from tests.dashboard.checkpoints import HEADS, engine_trace_of, save_checkpoint
from tests.vit_engine.weights.serving import Served, running
from tests.vit_engine.weights.serving import Server as WeightServer

WEIGHTS = "/dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth"
FETCHED = "DINO ViT-S/16"
SMALL = "?picture=scene_1&model=demo_vit_p16&size=96"
ROW = 35  # pixels of a row of a table
ADDRESS = "www.example.org me@example.org.pth"  # the name of a checkpoint

_VALUES = """(chart) => {
    const z = chart.data?.find(trace => trace.name === 'attention')?.z;
    const rows = array => Array.from(array, row => ArrayBuffer.isView(row) ? Array.from(row) : row);
    return z ? rows(z._inputArray ?? z) : [];
}"""


@dataclass(frozen=True)
class Site:
    """A dashboard of its own, its folder of checkpoints, and the loopback server of its weights."""

    server: Server
    folder: Path
    weights: WeightServer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("models")
    for step in (0, 20, 100):
        save_checkpoint(root / "checkpoints" / "run1" / f"checkpoint{step:04d}.pth", step)
    save_checkpoint(root / "checkpoints" / ADDRESS)
    with running() as weights:
        temporary = root / "temporary"
        temporary.mkdir()
        environment = {
            "TMPDIR": str(temporary),
            "VIT_ENGINE_HOME": str(root / "home"),
            "VIT_ENGINE_CHECKPOINTS": str(root / "checkpoints"),
            "VIT_ENGINE_MIRROR": weights.url,
            "no_proxy": "*",
        }
        with running_dashboard(root / "streamlit.log", environment) as server:
            yield Site(server, root / "checkpoints", weights)
        assert not list(temporary.glob("vit-checkpoints-*")), "uploads outlive the server"


@pytest.fixture
def open_models(page: Page, site: Site) -> Iterator[Callable[[], Page]]:
    """Opens the page Models; at the end the console has no errors."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))

    def opened() -> Page:
        page.goto(f"{site.server.url}/{SMALL}")
        settled(page).get_by_role("link", name="Models").click()
        page.get_by_role("heading", name="Your own checkpoints").wait_for()
        return settled(page)

    yield opened
    assert errors == []


def by_key(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key}")


def press(page: Page, key: str) -> None:
    """Press a button; where it has a help text, Streamlit draws a second one for narrow screens."""
    by_key(page, key).locator("button:visible").click()
    settled(page)


def choose(page: Page, key: str, option: str) -> None:
    by_key(page, key).locator("input").click()
    by_key(page, key).locator("input").fill(option)
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def click_row(page: Page, title: str) -> None:
    """Find a model by its title and click its row, as a person does: the pointer is there before it is pressed."""
    by_key(page, keys.MODELS_SEARCH).locator("input").fill(title)
    by_key(page, keys.MODELS_SEARCH).locator("input").press("Enter")
    box = by_key(settled(page), keys.MODELS_TABLE).locator("canvas").first.bounding_box()
    assert box
    x, y = box["x"] + 60, box["y"] + 1.5 * ROW
    page.mouse.move(x - 5, y)
    page.wait_for_timeout(200)
    page.mouse.click(x, y, delay=50)
    expect(by_key(page, "model_details").get_by_role("heading")).to_contain_text(title)


def assert_drawn(page: Page, path: Path) -> None:
    """Explore draws what the engine says about a checkpoint."""
    page.wait_for_url(lambda url: "model" in parse_qs(urlsplit(url).query), timeout=TIMEOUT)
    values = chart(settled(page), keys.OVERLAY).evaluate(_VALUES)
    expected = engine_trace_of(path).attention_map(-1, "mean", "cls").values
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-7)


def test_a_checkpoint_from_the_upload_to_its_heatmap_and_its_link(
    page: Page, open_models: Callable[[], Page], site: Site, tmp_path: Path
) -> None:
    path = save_checkpoint(tmp_path / "mine.pth", 5)
    open_models()
    by_key(page, keys.CHECKPOINT_SOURCE).get_by_text("Upload").click()
    by_key(settled(page), keys.CHECKPOINT_UPLOAD).locator("input[type=file]").set_input_files(path)
    add = by_key(page, keys.ADD_CHECKPOINT).locator("button")
    expect(add).to_be_disabled(timeout=TIMEOUT)
    choose(page, keys.CHECKPOINT_HEADS, f"{HEADS} heads")
    expect(add).to_be_enabled()
    press(page, keys.ADD_CHECKPOINT)
    press(page, keys.OPEN_CHECKPOINT)
    assert_drawn(page, path)
    assert re.search(rf"model=upload%3A[0-9a-f]{{64}}%40{HEADS}", page.url)
    page.reload()
    assert_drawn(page, path)
    expect(by_key(page, "title")).to_contain_text("mine")
    assert not list(site.folder.rglob("mine*"))


def test_a_run_is_added_together_and_stepped_through_by_keyboard(
    page: Page, open_models: Callable[[], Page], site: Site
) -> None:
    open_models()
    choose(page, keys.CHECKPOINT_FILE, "run1/checkpoint0020.pth")
    choose(page, keys.CHECKPOINT_HEADS, f"{HEADS} heads")
    press(page, keys.ADD_SERIES)
    press(page, keys.OPEN_CHECKPOINT)
    assert_drawn(page, site.folder / "run1" / "checkpoint0020.pth")
    by_key(page, keys.CHECKPOINT_STEP).get_by_role("slider").press("ArrowRight")
    page.wait_for_url(lambda url: "checkpoint0100" in url, timeout=TIMEOUT)
    assert_drawn(page, site.folder / "run1" / "checkpoint0100.pth")
    expect(by_key(page, "title")).to_contain_text("run1 · 100")


def test_a_download_shows_how_far_it_is_stops_and_goes_on(
    page: Page, open_models: Callable[[], Page], site: Site
) -> None:
    site.weights.files[WEIGHTS] = Served(bytes(range(250)) * 80_000, held=3_000_000)  # 20 MB
    open_models()
    click_row(page, FETCHED)
    press_now(page, keys.DOWNLOAD_MODEL)
    details = by_key(page, "model_details")
    expect(details.get_by_text(re.compile(r"Downloading .*: [2-9] of 20 MB"))).to_be_visible(timeout=TIMEOUT)
    press_now(page, keys.CANCEL_DOWNLOAD)
    expect(details.get_by_role("heading")).to_contain_text("MB of about", timeout=TIMEOUT)
    site.weights.gate.set()
    click_row(open_models(), FETCHED)
    press_now(page, keys.DOWNLOAD_MODEL)
    expect(details.get_by_role("heading")).to_contain_text("ready · downloaded", timeout=TIMEOUT)
    first, *rest = [asked.range for asked in site.weights.asked if asked.target == WEIGHTS]
    assert first is None
    assert rest
    assert all(re.fullmatch(r"bytes=[2-9]\d{6}-", each or "") for each in rest)


def press_now(page: Page, key: str) -> None:
    """Press a button beside something that never rests."""
    by_key(page, key).locator("button:visible").click()


def test_names_that_look_like_addresses_are_no_links(page: Page, open_models: Callable[[], Page], site: Site) -> None:
    open_models()
    choose(page, keys.CHECKPOINT_FILE, ADDRESS)
    card = by_key(page, "checkpoint_card")
    expect(card.get_by_role("heading")).to_contain_text("example.org.pth")
    assert card.locator("a[href*='://example'], a[href*='www.'], a[href^=mailto]").count() == 0
    page.goto(f"{site.server.url}/?picture=scene_1&size=96&model=file:https://example.org/x.pth")
    warning = page.get_by_test_id("stAlert").filter(has_text="there is no checkpoint")
    expect(warning).to_be_visible(timeout=TIMEOUT)
    assert warning.locator("a").count() == 0


_CONTRAST = """button => {
    const [ink, paper] = [button.querySelector('p'), document.querySelector('.stApp')].map((element, number) =>
        getComputedStyle(element)[number ? 'backgroundColor' : 'color'].match(/[0-9.]+/g).map(Number));
    const alpha = ink[3] ?? 1;
    const blend = ink.slice(0, 3).map((value, number) => alpha * value + (1 - alpha) * paper[number]);
    const light = rgb => rgb.slice(0, 3).map(value => value / 255)
        .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, number) => sum + value * [0.2126, 0.7152, 0.0722][number], 0);
    const [low, high] = [light(blend), light(paper)].sort((one, other) => one - other);
    return [getComputedStyle(button).backgroundColor, (high + 0.05) / (low + 0.05)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_disabled_button_shows_its_label(page: Page, open_models: Callable[[], Page], scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    open_models()
    choose(page, keys.CHECKPOINT_FILE, "run1/checkpoint0020.pth")
    add = by_key(page, keys.ADD_CHECKPOINT).get_by_role("button", name="Add to models")
    expect(add).to_be_disabled()
    background, contrast = add.evaluate(_CONTRAST)
    assert background == "rgba(0, 0, 0, 0)"
    assert 2 <= contrast < 4.5  # to be read, and not like one that can be pressed


@pytest.mark.parametrize("width", [400, 1440])
def test_nothing_overflows_and_the_table_scrolls_inside_itself(page: Page, site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{site.server.url}/models")
    page.get_by_role("heading", name="Your own checkpoints").wait_for()
    settled(page)
    wide, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= visible
    inner = page.evaluate(
        "(main => [main.scrollWidth, main.clientWidth])(document.querySelector('[data-testid=stMain]'))"
    )
    assert inner[0] <= inner[1]
    table = by_key(page, keys.MODELS_TABLE).bounding_box()
    assert table
    assert 0 <= table["x"] < table["x"] + table["width"] <= width
