"""What the suites of the page Compare share: a picture whose crops differ, and what the engine says of panes."""

from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import pictures
from dashboard.testing import decode_figure, open_compare
from tests.dashboard.support import DETAILS, engine_trace, ignore, noise_png
from vit_engine.analysis.comparison import Pane

SIZE = 96
FRAME = (96, 126)  # px: 12×15 patches of 8 px, 6×7 of 16 px
SHAPES = {8: (12, 15), 16: (6, 7)}
PICTURE = noise_png(70)
P8, P16 = "demo_vit_p8:5:mean", "demo_vit_p16:5:mean"


def opened(*panes: str, **link: str) -> AppTest:
    """The page Compare on the picture with these panes, as links write them."""
    at = open_compare(**picture_link(), pane=panes or (P8, P16), **link)
    assert_works(at)
    return at


def picture_link(data: bytes = PICTURE) -> dict[str, str]:
    """The part of a link that names an uploaded picture, held from now on, and its size."""
    return {"picture": f"sha256:{pictures.keep_upload(data, ignore).sha256}", "size": str(SIZE)}


def assert_works(at: AppTest) -> None:
    """No exception, and the sidebar and the controls of Compare are there."""
    assert not at.exception
    for key in (keys.SOURCE, keys.SIZE, keys.OPACITY, keys.COLOURS, keys.CLIP):
        assert at.sidebar.get_by_key(key).key == key
    for key in (keys.COMPARE_SHOW, keys.COMPARE_SCALE, keys.COMPARE_KEEP, keys.ADD_PANE, keys.COMPARISON):
        assert at.main.get_by_key(key).key == key


def panes_of(at: AppTest) -> list[str]:
    """The panes as their controls show them, as links write them (but for points of their own)."""
    count = len(at.session_state[keys.PANES])
    found = []
    for number in range(count):
        model = at.selectbox(key=of_pane(keys.PANE_MODEL, number)).value
        layer = at.slider(key=of_pane(keys.PANE_LAYER, number)).value
        found.append(f"{model}:{layer}:{at.selectbox(key=of_pane(keys.PANE_HEAD, number)).value}")
    assert found == [f"{pane.model}:{pane.layer}:{pane.head}" for pane in at.session_state[keys.PANES]]
    return found


def press(at: AppTest, key: str, number: int | None = None) -> AppTest:
    """Press a button, of a pane if a number is given, and run."""
    return at.button(key=key if number is None else of_pane(key, number)).click().run()


def keys_of(at: AppTest) -> set[str | None]:
    """The keys of all buttons."""
    return {button.key for button in at.button}


def engine_map(pane: str, query: str | tuple[int, int] = "cls", *, data: bytes = PICTURE) -> np.ndarray:
    """What the engine says a pane shows, by its own way: float32 (rows, cols)."""
    return engine_attention(pane, query, data=data).values


def engine_attention(pane: str, query: str | tuple[int, int] = "cls", *, data: bytes = PICTURE) -> ve.AttentionMap:
    parsed = Pane.parse(pane)
    return trace_of(parsed.model, data=data).attention_map(parsed.layer, parsed.head, query)


def trace_of(model: str, *, data: bytes = PICTURE) -> ve.AttentionTrace:
    return engine_trace(data, model, SIZE)


def figure_of(at: AppTest) -> dict[str, dict[str, Any]]:
    return decode_figure(at, keys.COMPARISON)


def assert_maps(at: AppTest, *panes: str, queries: tuple[str | tuple[int, int], ...] | None = None) -> None:
    """Each pane draws, and tells the pointer, what the engine says; queries are marked where they are."""
    drawn = figure_of(at)
    assert {name for name in drawn if name.startswith("attention ")} == {
        f"attention {letter}" for letter in "ABCDEFGH"[: len(panes)]
    }
    for letter, pane, query in zip("ABCDEFGH", panes, queries or ("cls",) * len(panes), strict=False):
        values = engine_map(pane, query)
        np.testing.assert_allclose(drawn[f"attention {letter}"]["z"], values, **DETAILS)
        np.testing.assert_allclose(drawn[f"attention {letter}"]["customdata"], values, **DETAILS)
        assert_marked(drawn, letter, query, patch=FRAME[0] // values.shape[0])


def assert_marked(drawn: dict[str, dict[str, Any]], letter: str, query: str | tuple[int, int], *, patch: int) -> None:
    mark = drawn.get(f"query {letter}", {"y": [], "x": []})
    middle = set() if isinstance(query, str) else {((query[0] + 0.5) * patch, (query[1] + 0.5) * patch)}
    assert set(zip(mark["y"], mark["x"], strict=True)) == middle


def whole_view(at: AppTest) -> bool:
    """Whether all of the picture is shown."""
    return shown_part(at) == (0, 0, *FRAME)


def shown_part(at: AppTest) -> tuple[float, ...]:
    """(top, left, bottom, right) in pixels of the scaled picture, the same in all panes."""
    layout = figure_of(at)["layout"]
    count = len(at.session_state[keys.PANES])
    axes = ["", *map(str, range(2, count + 1))]
    parts = {(*layout[f"yaxis{axis}"]["range"], *layout[f"xaxis{axis}"]["range"]) for axis in axes}
    ((bottom, top, left, right),) = parts
    return top, left, bottom, right
