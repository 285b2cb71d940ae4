"""A bundle holds what is shown, whole and safe, and is the same file each time."""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.vit_engine.report.builders import (
    FILES,
    FRAME,
    PANES,
    POINT,
    SIZE,
    STATISTIC,
    a_picture,
    pane_pixels,
    pixels_of,
)
from vit_engine.analysis.comparison import Comparison, agreement_table, head_table
from vit_engine.analysis.maps.agreement import difference
from vit_engine.analysis.maps.resampling import centre_of_mass
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.report.archive import as_zip
from vit_engine.report.bundle import files
from vit_engine.report.painter import View
from vit_engine.report.panels import Panel, panels
from vit_engine.report.record import map_numbers
from vit_engine.report.style import Style
from vit_engine.report.tables import agreement_html, written
from vit_engine.report.versions import versions
from vit_engine.trace.attention_map import AttentionMap

LOOK = Style(show="mask", scale="own", colours="viridis", opacity=0.5, clip=98)
LINK = "http://localhost:8501/compare?pane=demo_vit_p8:2:1&picture=<b>"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"


@pytest.fixture(scope="module")
def made(comparison: Comparison, picture: Image.Image) -> dict[str, bytes]:
    return files(comparison, LOOK, picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False, link=LINK)


@pytest.fixture(scope="module")
def run(made: dict[str, bytes]) -> dict:
    return json.loads(made["run.json"])


def test_a_bundle_has_these_files(made: dict[str, bytes], picture: Image.Image) -> None:
    assert sorted(made) == FILES
    with Image.open(io.BytesIO(made["picture.png"])) as written_picture:
        np.testing.assert_array_equal(np.asarray(written_picture), np.asarray(picture))
        assert written_picture.info == {}


def test_the_zip_is_the_same_for_the_same_comparison(
    made: dict[str, bytes], comparison: Comparison, picture: Image.Image
) -> None:
    options = {"picture": picture, "size": SIZE, "statistic": STATISTIC, "all_layers": False, "link": LINK}
    first, second = as_zip(made), as_zip(files(comparison, LOOK, **options))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == FILES
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert first != as_zip(files(comparison, replace(LOOK, opacity=0.6), **options))


def test_another_picture_is_refused(comparison: Comparison) -> None:
    with pytest.raises(SpecError, match=r"must be the comparison's, sha256 [0-9a-f]{64}; got [0-9a-f]{64}\."):
        files(comparison, LOOK, picture=a_picture("JPEG"), size=SIZE, statistic=STATISTIC, all_layers=False)


def test_the_maps_are_those_of_the_engine(made: dict[str, bytes], comparison: Comparison) -> None:
    with np.load(io.BytesIO(made["maps.npz"]), allow_pickle=False) as found:
        arrays = dict(found)
    names = {f"{name}{what}" for name in "ABC" for what in ("", "_heads", "_grid")}
    assert arrays.keys() == names | {"A_minus_B", "A_minus_B_grid", "C_minus_B", "C_minus_B_grid"}
    for one in comparison.results:
        np.testing.assert_array_equal(arrays[one.name], one.map.values)
        heads = one.trace.head_maps(one.pane.layer, one.query)
        np.testing.assert_array_equal(arrays[f"{one.name}_heads"], heads)
        assert arrays[one.name].dtype == arrays[f"{one.name}_heads"].dtype == np.float32
    assert arrays["A_grid"].tolist() == [1, 12, 17, 8]
    assert arrays["B_grid"].tolist() == [1, 6, 8, 16]
    found_difference = difference(comparison.results[0].map, comparison.results[1].map)
    np.testing.assert_array_equal(arrays["A_minus_B"], found_difference.values)
    assert arrays["A_minus_B_grid"].tolist() == [0, 12, 17, 8]


def test_the_tables_are_those_of_the_engine(made: dict[str, bytes], comparison: Comparison) -> None:
    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(made[name]))

    pd.testing.assert_frame_equal(read("agreement.csv"), agreement_table(comparison), rtol=1e-12)
    expected = head_table(comparison, STATISTIC)
    pd.testing.assert_frame_equal(read("side_by_side.csv"), expected, rtol=1e-12)
    heads = read("heads.csv")
    assert list(heads.columns[:4]) == ["pane", "model", "layer", "head"]
    for one in comparison.results:
        mine = heads[heads["pane"] == one.name]
        assert set(mine["model"]) == {one.pane.model}
        frame = one.trace.statistics.to_frame()
        pd.testing.assert_frame_equal(
            mine[frame.columns].reset_index(drop=True), frame, check_dtype=False, rtol=1e-6, check_exact=False
        )


def test_all_layers_side_by_side_are_asked_for(comparison: Comparison, picture: Image.Image) -> None:
    found = files(comparison, LOOK, picture=picture, size=SIZE, statistic="distance_px", all_layers=True)
    expected = head_table(comparison, "distance_px", all_layers=True)
    frame = pd.read_csv(io.BytesIO(found["side_by_side.csv"]))
    pd.testing.assert_frame_equal(frame, expected, rtol=1e-12)
    record = json.loads(found["run.json"])
    assert (record["statistic"], record["all_layers"]) == ("distance_px", True)
    assert len(record["numbers"]["side_by_side"]) == len(expected)


def test_the_record_says_how_to_repeat_it(run: dict, made: dict[str, bytes], picture: Image.Image) -> None:
    sha256 = hashlib.sha256(made["picture.png"]).hexdigest()
    by_hand = hashlib.sha256((192).to_bytes(4, "big") + (272).to_bytes(4, "big") + picture.tobytes()).hexdigest()
    expected = {"file": "picture.png", "sha256": sha256, "pixels_sha256": by_hand}
    assert run["picture"] == {**expected, "size": SIZE, "frame": list(FRAME)}
    assert [one["pane"] for one in run["panes"]] == list(PANES)
    assert [one["query"] for one in run["panes"]] == [[4, 9], [2, 4], [2, 4]]
    assert [one["size"] for one in run["panes"]] == [[96, 136], [96, 128], [96, 128]]
    assert run["panes"][0]["grid"] == {"prefix": 1, "rows": 12, "cols": 17, "patch_size": 8}
    assert (run["reference"], run["point"], run["keep"]) == ("B", list(POINT), 0.5)
    assert (run["statistic"], run["all_layers"], run["link"]) == (STATISTIC, False, LINK)
    assert run["look"] == {
        "show": "mask",
        "scale": "own",
        "colours": "viridis",
        "opacity": 0.5,
        "clip": 98,
        "zoom": None,
    }
    assert (run["versions"], run["device"]) == (versions(), "cpu")


def test_the_record_says_what_the_models_are(run: dict, comparison: Comparison) -> None:
    trained, _, random = run["models"]
    report = comparison.results[0].report
    assert trained["model"] == trained["name"] == "demo_vit_p8"
    assert trained["weights"]["sha256"] == report.sha256
    assert trained["weights"]["source"] == "demo_vit_p8.safetensors"
    assert trained["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert (trained["spec"]["depth"], trained["spec"]["heads"], trained["spec"]["class_names"]) == (6, 4, 12)
    assert (trained["random"], trained["seed"]) == (False, None)
    assert (random["random"], random["seed"], random["weights"]["sha256"]) == (True, 0, None)
    assert random["weights"]["source"] == "random (seed 0)"


def test_the_record_has_the_numbers(run: dict, comparison: Comparison) -> None:
    numbers = run["numbers"]
    assert pd.DataFrame(numbers["agreement"]).equals(agreement_table(comparison))
    side_by_side = head_table(comparison, STATISTIC)
    told = pd.DataFrame(numbers["side_by_side"], columns=side_by_side.columns).astype(side_by_side.dtypes)
    pd.testing.assert_frame_equal(told, side_by_side, check_exact=True)
    for row, one in zip(numbers["maps"], comparison.results, strict=True):
        assert row["pane"] == one.name
        assert row["sum"] == pytest.approx(one.map.values.astype(float).sum())
        assert (row["centre_y_px"], row["centre_x_px"]) == centre_of_mass(one.map)


def test_a_map_in_numbers() -> None:
    """Shares ½, ¼, ¼ of patches of 2 px: 1.5 bits."""
    values = np.array([[0.2, 0.0, 0.1], [0.0, 0.1, 0.0]], dtype=np.float32)
    found = map_numbers(AttentionMap(values, TokenGrid(1, 2, 3, 2), "by hand"))
    expected = {"sum": 0.4, "maximum": 0.2, "entropy_bits": 1.5, "centre_y_px": 1.5, "centre_x_px": 2.5}
    assert found == pytest.approx(expected, rel=1e-6)
    empty = map_numbers(AttentionMap(np.zeros((2, 3), np.float32), TokenGrid(1, 2, 3, 2), "nothing"))
    nothing = dict.fromkeys(("entropy_bits", "centre_y_px", "centre_x_px"))
    assert empty == {"sum": 0.0, "maximum": 0.0, **nothing}


def test_where_files_lie_is_in_no_file(comparison: Comparison, picture: Image.Image) -> None:
    first = comparison.results[0]
    moved = replace(first, report=replace(first.report, source="/home/somebody/secret/demo.pth"))
    shown = (moved, *comparison.results[1:])
    found = files(
        replace(comparison, results=shown), LOOK, picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False
    )
    assert all(b"secret" not in data for data in found.values())
    assert json.loads(found["run.json"])["models"][0]["weights"]["source"] == "demo.pth"


def test_a_model_of_ones_own_keeps_the_name_of_its_pane(comparison: Comparison, picture: Image.Image) -> None:
    first, name = comparison.results[0], "file:run1/last.pth@4"
    own = replace(first, pane=replace(first.pane, model=name), report=replace(first.report, source=name))
    found = files(
        replace(comparison, results=(own, *comparison.results[1:])),
        LOOK,
        picture=picture,
        size=SIZE,
        statistic=STATISTIC,
        all_layers=False,
    )
    run = json.loads(found["run.json"])
    assert (run["panes"][0]["pane"], run["models"][0]["model"]) == (f"{name}:2:1", name)
    assert run["models"][0]["weights"]["source"] == name


def test_numbers_that_there_are_not_are_null(comparison: Comparison, picture: Image.Image) -> None:
    """The random model has three heads, the others four."""
    found = files(comparison, LOOK, picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False)
    rows = json.loads(found["run.json"])["numbers"]["side_by_side"]
    assert rows[3]["C"] is None
    assert rows[3]["A"] is not None


def test_the_page_is_whole_small_and_asks_nobody(made: dict[str, bytes]) -> None:
    page = made["comparison.html"].decode()
    assert len(made["comparison.html"]) < 6_000_000
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page
    assert '"showSendToCloud": false' in page
    assert not re.search(r"<(script|link|img)[^>]*\b(src|href)=", page[-200_000:] + page[:3000])
    assert "<title>Attention compared: Demo ViT /8, Demo ViT /16, Random ViT-Ti/16</title>" in page
    assert page.count("RANDOM WEIGHTS") == 1
    assert "prefers-color-scheme: dark" in page


def test_the_page_has_the_tables(made: dict[str, bytes], comparison: Comparison) -> None:
    page = made["comparison.html"].decode()
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    for table in (agreement_table(comparison), head_table(comparison, STATISTIC)):
        for row in table.itertuples(index=False):
            assert [written(value) for value in row] in rows
    assert "<th>JSD (bits)</th>" in page
    assert "&lt;b&gt;" in page
    assert "picture=<b>" not in page


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (-12.0, "−12"), (float("nan"), "–"), (3, "3"), ("A", "A")]
)
def test_a_cell_is_written_for_people(value: object, text: str) -> None:
    assert written(value) == text


def test_names_of_strangers_are_text(comparison: Comparison, picture: Image.Image) -> None:
    first = comparison.results[0]
    spec = replace(first.trace.spec, title=HOSTILE)
    hostile = replace(first, trace=replace(first.trace, spec=spec), pane=replace(first.pane, model=HOSTILE))
    shown = replace(comparison, results=(hostile, *comparison.results[1:]))
    drawn = (*panels(shown, LOOK), Panel("D", HOSTILE, message=HOSTILE))
    found = files(
        shown, LOOK, picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False, link=HOSTILE, drawn=drawn
    )
    page = found["comparison.html"].decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_cells_are_text(comparison: Comparison) -> None:
    frame = agreement_table(comparison).astype({"first": object})
    frame.loc[0, "first"] = HOSTILE
    assert "&lt;script&gt;alert(1)" in agreement_html(frame)
    assert "<script" not in agreement_html(frame)


def test_panes_are_drawn_as_they_are_given(comparison: Comparison, picture: Image.Image) -> None:
    drawn = (*panels(comparison, LOOK), Panel("D", "DINO ViT-S/8", message="not here yet"))
    zoom = (8.0, 16.0, 56.0, 88.0)
    options = {"picture": picture, "size": SIZE, "statistic": STATISTIC, "all_layers": False}
    found = files(comparison, LOOK, **options, drawn=drawn, zoom=zoom)
    assert b"not here yet" in found["comparison.html"]
    assert json.loads(found["run.json"])["look"]["zoom"] == list(zoom)
    sheet = pixels_of(found["comparison.png"])
    pane = pane_pixels(drawn[0], View.of(FRAME, zoom), LOOK.opacity)
    rows = np.flatnonzero((sheet[:, 32] == pane[0, 0]).all(axis=-1))
    assert any(np.array_equal(sheet[y : y + pane.shape[0], 32 : 32 + pane.shape[1]], pane) for y in rows)
