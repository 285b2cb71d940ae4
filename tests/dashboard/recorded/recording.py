"""What links do, as a table: each is opened in a session of its own, and what the app makes of it is read by key.

links.json has a record a link. Its "state" names only what differs from the state of its page without a link, the
page's first record.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.testing import APP, TIMEOUT, clear_caches, open_app
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS

TABLE = Path(__file__).with_name("links.json")
COMMAND = "python -m tests.dashboard.recorded"
WIDTH = 120  # characters of a line of the table, where it can be broken

Record = dict[str, Any]

SET_BY_LINKS = (
    keys.SOURCE,
    keys.SAMPLE,
    keys.UPLOADED,
    keys.MODEL,
    keys.SIZE,
    keys.OPACITY,
    keys.COLOURS,
    keys.SCALE,
    keys.CLIP,
    keys.LAYER,
    keys.HEAD,
    keys.METHOD,
    keys.OPTIONS,
    keys.TARGET,
    keys.VIEW,
    keys.QUERY,
    keys.HEADS_STATISTIC,
    keys.HEADS_PROFILE,
    keys.HEADS_OVERLAY,
    keys.HEADS_RANKING,
    keys.HEADS_SCOPE,
    keys.HEADS_LAYER,
    keys.HEADS_ORDER,
    keys.HEADS_REDUNDANT,
    keys.TOKENS_VIEW,
    keys.FACET,
    keys.TOKEN_HEAD,
    keys.TOKEN_LAYER,
    keys.FOREGROUND,
    keys.TOKEN_ZOOM,
    keys.SECOND_SOURCE,
    keys.SECOND_SAMPLE,
    keys.SECOND_UPLOADED,
    keys.SECOND_SIZE,
    keys.MATCHES,
    keys.RATIO,
    keys.ASKS,
    keys.PANES,
    keys.REFERENCE,
    keys.ZOOM,
    keys.COMPARE_SHOW,
    keys.COMPARE_SCALE,
    keys.COMPARE_KEEP,
    keys.STATISTIC,
    keys.COMPARE_ROWS,
    keys.COMPARE_ORDER,
    keys.COMPARE_CHART,
    keys.COMPARE_STEPS,
    keys.WORTH,
    keys.BASELINE,
    keys.WORTH_STEPS,
    keys.OBJECT,
    keys.RANKED_METHODS,
)
CONTROLS = "controls of the panes"
OF_PANES = (keys.PANE_MODEL, keys.PANE_LAYER, keys.PANE_HEAD, keys.PANE_METHOD, keys.PANE_QUERY)


@contextmanager
def files_of_links(folder: Path) -> Iterator[AppTest]:
    """An empty server with what links of the table name: a picture that is held, and a checkpoint in its folder.

    Yields the session that uploaded the picture.
    """
    clear_caches()
    _save_checkpoint(folder / "run" / "last.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIT_ENGINE_CHECKPOINTS", str(folder))
        yield _uploaded(_noise())
    clear_caches()


def _save_checkpoint(path: Path, *, dim: int = 24, depth: int = 3, patch: int = 16) -> None:
    """Random weights under DINO's names, without a word on heads."""
    shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, 10, dim), "patch_embed.proj.weight": (dim, 3, patch, patch)}
    shapes |= {"patch_embed.proj.bias": (dim,), "norm.weight": (dim,), "norm.bias": (dim,)}
    for block in range(depth):
        sides = {"attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim)}
        sides |= {"mlp.fc2": (dim, 4 * dim), "norm1": (dim,), "norm2": (dim,)}
        for name, shape in sides.items():
            shapes |= {f"blocks.{block}.{name}.weight": shape, f"blocks.{block}.{name}.bias": shape[:1]}
    generator = torch.Generator().manual_seed(0)
    path.parent.mkdir(parents=True)
    torch.save({name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}, path)


def _noise() -> bytes:
    """A picture file of 113×149 pixels: a BMP, the same bytes in every version of Pillow."""
    noise = np.random.default_rng(70).integers(0, 256, (113, 149, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "BMP")
    return buffer.getvalue()


def _uploaded(data: bytes) -> AppTest:
    at = open_app(size="96", model="demo_vit_p16")
    at.segmented_control(key=keys.SOURCE).set_value("upload").run()
    at.file_uploader(key=keys.UPLOAD).set_value(("noise.bmp", data, "image/bmp")).run()
    assert at.session_state[keys.UPLOADED] == hashlib.sha256(data).hexdigest()
    return at


def opened(page: str, link: str, other: AppTest) -> AppTest:
    """A page as a new session gets it from a link: "explore", "compare", …. other: any session."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    # As on a server: to look for components in all installed packages takes as long as the run itself.
    at._bidi_component_manager = other._bidi_component_manager
    at.query_params |= parameters(link)
    if page != "explore":
        at.switch_page(f"views/{page}.py")
    at.run()
    assert not at.exception
    return at


def read(at: AppTest) -> Record:
    """What a link did: the whole state, what was told above the page, and the address."""
    offered = ", ".join(method.name for method in (*METHODS, *TOKEN_METHODS))  # of which some came after the links
    texts = [
        warning.value.replace("\\", "").replace(f"There are: {offered}.", "There are: raw.") for warning in at.warning
    ]
    told = [line for text in texts for line in text.split("\n\n")]
    address = {name: [value] if isinstance(value, str) else value for name, value in at.query_params.items()}
    return {"state": _state(at), "notices": told, "address": address}


def _state(at: AppTest) -> dict[str, Any]:
    """By key; None also for what the session does not have."""
    state = {key: _plain(_value(at, key)) for key in SET_BY_LINKS}
    shown = [
        [_value(at, keys.of_pane(key, number)) for key in OF_PANES] for number in range(len(state[keys.PANES] or ()))
    ]
    return {**state, CONTROLS: [" ".join(map(str, row)) for row in shown]}


def _value(at: AppTest, key: str) -> Any:
    return at.session_state.get(key)


def _plain(value: Any) -> Any:
    """As JSON has it; a pane as links write it."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def parameters(link: str) -> dict[str, list[str]]:
    return parse_qs(link, keep_blank_values=True)


def as_text(link: Mapping[str, str | list[str]]) -> str:
    """As it stands after the ? of an address, but with what can be read as it is."""
    return urlencode(link, doseq=True, safe="/:,@![]()$", quote_via=quote)


def table() -> list[Record]:
    return json.loads(TABLE.read_text(encoding="utf-8"))


def without_link(records: list[Record]) -> dict[str, dict[str, Any]]:
    """The state of each page without a link, by the page's name."""
    return {record["page"]: record["state"] for record in records if not record["link"]}


def record_again(records: list[Record], other: AppTest) -> list[Record]:
    """The table of the same links with what they do now."""
    bare: dict[str, dict[str, Any]] = {}
    rows = []
    for record in records:
        name, page, link = record["name"], record["page"], record["link"]
        done = read(opened(page, link, other))
        state = done["state"]
        known = bare.setdefault(page, state)
        differing = {key: value for key, value in state.items() if not link or value != known[key]}
        address = as_text(done["address"])
        rows.append(
            {
                "name": name,
                "page": page,
                "link": link,
                "state": differing,
                "notices": done["notices"],
                "address": address,
            }
        )
    return rows


def write(records: list[Record]) -> None:
    """A value a line, and what is short on one."""
    text = ",\n  ".join(_lines(record, "  ", width=0) for record in records)
    TABLE.write_text(f"[\n  {text}\n]\n", encoding="utf-8")


def _lines(value: Any, margin: str, *, width: int = WIDTH) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(margin + line) < width or not isinstance(value, dict | list) or not value:
        return line
    inner = f"{margin}  "
    if isinstance(value, list):
        first, last, parts = "[", "]", [_lines(each, inner) for each in value]
    else:
        first, last = "{", "}"
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {_lines(each, inner)}" for name, each in value.items()]
    between = f",\n{inner}"
    return f"{first}\n{inner}{between.join(parts)}\n{margin}{last}"
