"""The large map as files: what is drawn, its values, and a record that says of what."""

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.explore import download
from dashboard.explore.download import MapFiles
from dashboard.samples import find_sample
from tests.dashboard.support import DETAILS, SMALL, assert_works, open_small, small_trace

PICTURES = {keys.DOWNLOAD_MAP_PNG, keys.DOWNLOAD_MAP_PDF, keys.DOWNLOAD_MAP_SVG}


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[MapFiles]:
    """What the page offers, a run at a time."""
    made: list[MapFiles] = []
    monkeypatch.setattr(download, "MapFiles", lambda *parts: made.append(MapFiles(*parts)) or made[-1])
    return made


def unzipped(files: MapFiles) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(files.file("zip"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_map_is_offered_as_it_is_drawn_with_its_values_and_a_record(offered: list[MapFiles]) -> None:
    at = open_small(layer="3", head="1", query="0.4,0.7", clip="95")
    assert_works(at)
    assert {*PICTURES, keys.DOWNLOAD_MAP_CSV, keys.DOWNLOAD_MAP} <= buttons(at)
    files = offered[-1]
    assert files.name == "raw-layer-3-head-1-demo_vit_p16"
    expected = small_trace().attention_map(3, 1, (2, 5)).values
    frame = pd.read_csv(io.BytesIO(files.file("csv")))
    np.testing.assert_allclose(frame["value"].to_numpy().reshape(6, 8), expected, **DETAILS)
    assert frame.loc[13].tolist()[:2] == [1, 5]
    contents = unzipped(files)
    assert set(contents) == {"map.png", "map.pdf", "map.svg", "map.csv", "maps.npz", "run.json"}
    assert contents["map.pdf"].startswith(b"%PDF")
    assert b"<svg" in contents["map.svg"]
    assert contents["map.csv"] == files.file("csv")
    arrays = np.load(io.BytesIO(contents["maps.npz"]))
    assert arrays["maps"].shape == (6, 4, 6, 8)
    np.testing.assert_array_equal(arrays["maps"][3, 1], arrays["map"])
    record = json.loads(contents["run.json"])
    chosen = {name: record[name] for name in ("model", "method", "layer", "head", "query", "target")}
    assert chosen == {
        "model": "demo_vit_p16",
        "method": "raw",
        "layer": 3,
        "head": "1",
        "query": [2, 5],
        "target": None,
    }
    assert record["map"] == small_trace().attention_map(3, 1, (2, 5)).label
    assert "layer=3" in record["link"]
    assert (record["faithfulness"], record["pointing"]) == (None, None)


def buttons(at: AppTest) -> set[str | None]:
    return {each.key for each in at.get("download_button")}


def test_the_picture_is_as_large_again_as_the_map_and_stands_beside_its_own_where_it_does(
    offered: list[MapFiles],
) -> None:
    open_small(opacity="0")
    over = offered[-1]
    beside = replace(over, selection=replace(over.selection, view="beside"))
    sizes = [Image.open(io.BytesIO(files.file("png"))).size for files in (over, beside)]
    assert sizes[1][0] > 1.8 * sizes[0][0] > 2 * 134
    drawn = replace(over, selection=replace(over.selection, opacity=100))
    assert drawn.file("png") != over.file("png")


def test_the_picture_has_the_marks_of_the_page_and_says_what_it_shows(
    offered: list[MapFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(download, "map_sheet", lambda *_, **options: drawn.update(options) or {"png": b""})
    at = open_small(method="relevance", target="point:0.4,0.7", worth="pointing", object="0.1667,0.1194,0.6667,0.5970")
    assert_works(at, walk=())
    offered[-1].file("png")
    assert drawn["boxed"] == ((2, 5),)
    corners = drawn["edges"][0]
    assert (*corners.min(axis=0), *corners.max(axis=0)) == pytest.approx((16, 16, 64, 80), abs=0.1)
    title, model = find_sample(SMALL["picture"]).title, small_trace().spec.title
    assert drawn["caption"].startswith(f"{title} · {model} · Relevance · query CLS · target ")
    assert drawn["caption"].endswith("patch row 2, col 5 · dashed: the box")
    aside = replace(offered[-1].maps, aside=np.eye(6, 8) > 0)
    replace(offered[-1], maps=aside, mask=None).file("png")
    assert drawn["boxed"][:2] == ((0, 0), (1, 1))
    assert drawn["caption"].endswith(" · outlined: sinks set aside")


@pytest.mark.usefixtures("fresh_caches")
def test_what_was_measured_of_the_map_is_part_of_the_files(offered: list[MapFiles]) -> None:
    at = open_small(worth="faithfulness", method="legrad", target="3")
    at = at.button(key=keys.MEASURE).click().run()
    assert not at.exception
    contents = unzipped(offered[-1])
    assert len(pd.read_csv(io.BytesIO(contents["faithfulness.csv"]))) == 9
    record = json.loads(contents["run.json"])
    assert (record["target"]["name"], record["target"]["label"]) == ("3", "class 3, triangle")
    assert record["target"]["score"] is not None
    assert record["faithfulness"]["of"] == "probability of class 3, triangle"
    assert [record[name] for name in ("layer", "layers", "head", "query")] == [None] * 4
    assert "pointing.csv" not in contents
    open_small(worth="pointing", object="0.1,0.2,0.5,0.6")
    contents = unzipped(offered[-1])
    assert {"layer", "head", "share"} <= set(pd.read_csv(io.BytesIO(contents["pointing.csv"])))
    pointing = json.loads(contents["run.json"])["pointing"]
    assert 0 < pointing["map"]["share"] < 1
    assert pointing["query"] == "cls"
    at = open_small(worth="pointing", object="0,0,1,1")
    assert "covers the whole picture" in at.error[0].value
    assert "pointing.csv" not in unzipped(offered[-1])
