"""Text can be read: its contrast with what lies behind it, as WCAG 2.2 measures it (success criterion 1.4.3)."""

from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.server import Server
from tests.browser.support import QUIET, TIMEOUT, settled

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LEAST = 4.5  # 3 for large text, which is never held to less here

# Colours are drawn on a canvas, so that every notation comes back as red, green, blue and alpha. Text within charts
# and tables is painted by Plotly and on a canvas; text over pictures has no one background; disabled controls are
# exempt (1.4.3 "incidental").
_TEXTS = """() => {
    const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
    const pen = canvas.getContext('2d', {willReadFrequently: true});
    const rgba = colour => {
        pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
    const behind = element => {
        const layers = [];
        for (let each = element; each; each = each.parentElement) {
            const style = getComputedStyle(each);
            if (style.backgroundImage !== 'none') return null;
            layers.push(rgba(style.backgroundColor));
        }
        return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
    };
    const opacity = element => {
        let product = 1;
        for (let each = element; each; each = each.parentElement) product *= getComputedStyle(each).opacity;
        return product;
    };
    const luminance = colour => {
        const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map(part => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    const walker = document.createTreeWalker(document.querySelector('[data-testid=stApp]'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
        const box = element.getBoundingClientRect();
        const exempt = ':disabled, [aria-disabled=true], .js-plotly-plot, [data-testid=stDataFrame], style, script';
        if (!text || !box.width || !box.height || element.closest(exempt)) continue;
        if (getComputedStyle(element).visibility === 'hidden' || !element.checkVisibility()) continue;
        const icon = element.dataset.testid === 'stIconMaterial' || element.closest('[data-testid=stIconMaterial]');
        const thumb = element.closest('[data-testid=stSliderThumbValue]');  // stands above the thumb that holds it
        const background = icon ? null : behind(thumb ? thumb.parentElement.parentElement : element);
        if (!background) continue;
        const colour = rgba(getComputedStyle(element).color);
        const alpha = colour[3] * opacity(element);
        if (alpha < 0.05) continue;  // not shown until it is pointed at
        const pair = [over([...colour.slice(0, 3), alpha], background), background].map(luminance);
        found.push([text.slice(0, 60), (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)]);
    }
    return found;
}"""

_IS_THEME = """theme => {
    const app = document.querySelector('.stApp');
    return app && getComputedStyle(app).colorScheme === theme;
}"""


@pytest.mark.parametrize("path", ["", "tokens", "tokens?tokens=norms&facet=key", "compare", "heads", "models", "guide"])
def test_every_text_stands_out(page: Page, server: Server, path: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(f"{server.url}/{path}{'&' if '?' in path else '?'}picture=scene_1&model=demo_vit_p16&size=96")
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(_IS_THEME, arg=theme, timeout=TIMEOUT)
        texts = settled(page, QUIET).evaluate(_TEXTS)
        assert len(texts) > 20
        weak = sorted({(round(contrast, 2), text) for text, contrast in texts if contrast < LEAST})
        assert not weak, theme
