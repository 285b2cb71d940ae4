"""Panes of tokens as they are drawn and exported: scales and legends of their own, and words where a view has none."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.report.builders import FRAME, POINT, SIZE, STATISTIC, a_picture
from vit_engine.analysis.comparison import Comparison, Pane, PaneResult, evaluate_pane, pca_layers
from vit_engine.report.bundle import arrays, files
from vit_engine.report.colours import rgb_stops
from vit_engine.report.figure import compare_figure
from vit_engine.report.panels import Panel, common_legend, panels
from vit_engine.report.sheets import comparison_sheet
from vit_engine.report.style import Style
from vit_engine.report.titles import caption, subjects

PANES = (
    "demo_vit_p8:3:mean:similarity",
    "demo_vit_p16:3:mean:similarity",
    "demo_vit_p8:3:mean",
    "demo_vit_p8:2:mean:pca",
    "demo_vit_p8:5:mean:pca",
    "demo_vit_p16:5:mean:pca",
)
A, B, C, D, E, F = range(6)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return a_picture()


@pytest.fixture(scope="module")
def comparison(picture: Image.Image) -> Comparison:
    panes = list(map(Pane.parse, PANES))
    shown: list[PaneResult] = []
    for number, pane in enumerate(panes):
        loaded = ve.load_model(pane.model, device="cpu")
        prepared = ve.prepare_image(picture, loaded.spec, size=SIZE)
        run = ve.Run(ve.attend(loaded, prepared), loaded, prepared)
        layers = pca_layers([each for each in panes if each.model == pane.model], loaded.spec)
        place: dict[str, Any] = {"frame": FRAME, "point": POINT, "fitted_to": layers}
        shown.append(evaluate_pane(number, pane, run, prepared.pixels, loaded.report, **place))
    return Comparison(tuple(shown), FRAME, point=POINT)


def drawn(comparison: Comparison, **look: Any) -> tuple[Panel, ...]:
    return panels(comparison, Style(**look))


def test_similarities_share_a_scale_that_no_density_stretches(comparison: Comparison) -> None:
    both = np.concatenate([one.map.values.ravel() for one in comparison.results[:2]])
    ends = np.percentile(both, (2, 98))
    shown = drawn(comparison, clip=98)
    for panel, one in zip(shown[:2], comparison.results, strict=False):
        np.testing.assert_allclose((panel.low, panel.high), ends, rtol=1e-6)
        assert panel.limit == panel.high
        assert panel.coloured is not None
        assert panel.coloured.tolist() == one.map.values.tolist()
        assert panel.image is None
    alone = drawn(Comparison(comparison.results[2:3], FRAME, point=POINT), clip=98)[0]
    assert shown[C].limit == pytest.approx(alone.limit), "attention keeps the scale that it has without tokens"


def test_on_its_own_scale_a_similarity_has_its_own_two_ends(comparison: Comparison) -> None:
    for panel, one in zip(drawn(comparison, scale="own", clip=90)[:2], comparison.results, strict=False):
        np.testing.assert_allclose((panel.low, panel.high), np.percentile(one.map.values, (10, 90)), rtol=1e-6)


def test_principal_components_are_colours_over_a_grey_picture(comparison: Comparison) -> None:
    for panel, one in zip(drawn(comparison)[D:], comparison.results[D:], strict=True):
        assert panel.image is not None
        assert one.pca is not None
        np.testing.assert_array_equal(panel.image[..., :3], np.round(one.pca.rgb * 255))
        assert (panel.image[..., 3] == 255).all()
        assert np.ptp(panel.pixels, axis=-1).max() == 0
        np.testing.assert_array_equal(panel.values, one.pca.components[0])


def test_each_kind_has_a_legend_with_its_unit(comparison: Comparison) -> None:
    shown = drawn(comparison)
    similarity, attention, pca = (shown[number].legend for number in (A, C, D))
    assert similarity is not None
    assert (similarity.low, similarity.high) == (f"{shown[A].low:.2f} or less", f"{shown[A].high:.2f} or more")
    assert similarity.unit == "cosine similarity"
    assert shown[B].legend == similarity, "a patch of any size has the same scale"
    assert attention is not None
    assert (attention.low, attention.unit) == ("0", "attention weight of a patch of 8 px")
    assert pca is not None
    assert (pca.low, pca.middle, pca.high, pca.stops) == ("first", "second", "third", rgb_stops())
    assert pca.unit == "principal component, fitted to D, E together"
    assert shown[F].legend is not None
    assert shown[F].legend.unit == "principal component", "a layer alone is fitted to itself"
    assert common_legend(shown) is None


def test_a_scale_of_almost_equal_similarities_has_digits_enough(comparison: Comparison) -> None:
    narrow = Panel("A", "", grid=comparison.base.map.grid, low=0.9912, high=0.9987, limit=0.9987)
    similarity = drawn(comparison)[A]
    changed = Panel(**{**vars(similarity), "low": narrow.low, "high": narrow.high, "limit": narrow.limit})
    assert changed.legend is not None
    assert (changed.legend.low, changed.legend.high) == ("0.9912 or less", "0.9987 or more")


def test_differences_are_of_cosines_and_a_pane_without_one_shows_its_map_and_why(comparison: Comparison) -> None:
    shown = drawn(comparison, show="difference", clip=100)
    found = ve.difference(comparison.results[B].map, comparison.results[A].map)
    np.testing.assert_array_equal(shown[B].values, found.values)
    assert shown[B].difference
    assert shown[B].limit == pytest.approx(np.nanmax(np.abs(found.values)))
    legend = shown[B].legend
    assert legend is not None
    assert (legend.middle, legend.unit) == ("0", "difference of cosine similarity")
    assert legend.low == f"-{shown[B].limit:.2f} or less"
    assert [panel.difference for panel in shown] == [False, True, False, False, False, False]
    assert (shown[A].note, shown[B].note) == ("", "")
    assert shown[C].note == "no difference to A: attention weight and cosine similarity are different quantities"
    for number in (D, E, F):
        assert shown[number].note == "no difference to A: principal components are shown as colours"
        assert shown[number].image is not None
    np.testing.assert_array_equal(shown[C].values, comparison.results[C].map.values)


def test_masks_are_of_attention_alone_and_logarithms_too(comparison: Comparison) -> None:
    masks, logs = drawn(comparison, show="mask"), drawn(comparison, scale="log")
    assert [bool(panel.outlines) for panel in masks] == [False, False, True, False, False, False]
    assert [panel.note for panel in masks[:4]] == [
        "no mask: similarities have no mass",
        "no mask: similarities have no mass",
        "",
        "no mask: principal components have no mass",
    ]
    assert [panel.log for panel in logs] == [False, False, True, False, False, False]
    assert [panel.note for panel in logs[2:4]] == ["", ""]
    assert logs[A].note == "similarities have no logarithmic scale"
    assert (logs[A].low, logs[A].high) == (drawn(comparison)[A].low, drawn(comparison)[A].high)


def test_titles_and_captions_say_what_is_shown(comparison: Comparison) -> None:
    titles = [panel.title for panel in drawn(comparison)]
    assert titles[A] == "Demo ViT /8 · Token similarity · layer 3 · patch row 4, col 9"
    assert titles[D] == "Demo ViT /8 · PCA of tokens · layer 2"
    words = caption(comparison, Style())
    assert words.startswith("Token similarity, attention and PCA of tokens · query: the point at 40%")
    only = Comparison(comparison.results[D:], FRAME, point=POINT)
    assert caption(only, Style()) == f"PCA of tokens · {FRAME[0]} × {FRAME[1]} px", "no query and no scale"
    assert subjects(one.pane for one in comparison.results[1:3]) == "token similarity and attention"


def test_each_image_of_the_figure_has_a_place_of_its_own(comparison: Comparison) -> None:
    """Plotly draws one image of those at the same place: the picture would hide the colours."""
    figure = compare_figure(drawn(comparison), frame=FRAME, opacity=0.5).to_dict()
    images = figure["layout"]["images"]
    assert len(images) == 6 + 3
    keys = [tuple(image[part] for part in ("xref", "x", "sizex", "yref", "y", "sizey")) for image in images]
    assert len(set(keys)) == len(keys)
    colours = [image for image in images if image["source"].startswith("data:image/png")]
    assert [image["opacity"] for image in colours] == [0.5] * 3
    for image in colours:
        assert (image["x"] - image["sizex"], image["xanchor"]) == (0, "right")
    templates = [trace["hovertemplate"] for trace in figure["data"] if trace["name"].startswith("attention")]
    assert "cosine similarity %{customdata:.3f}" in templates[A]
    assert "%{customdata:.3%}" in templates[C]
    assert "first principal component %{customdata:.3f}" in templates[D]


@pytest.fixture(scope="module")
def bundle(comparison: Comparison, picture: Image.Image) -> dict[str, bytes]:
    style = Style(show="difference")
    return files(comparison, style, picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False)


def test_a_bundle_has_colours_components_and_the_differences_that_there_are(
    comparison: Comparison, bundle: dict[str, bytes]
) -> None:
    with np.load(io.BytesIO(bundle["maps.npz"])) as found:
        assert set(found.files) == set(arrays(comparison))
        assert {name for name in found.files if "minus" in name} == {"B_minus_A", "B_minus_A_grid"}
        for name, one in (("D", comparison.results[D]), ("F", comparison.results[F])):
            assert one.pca is not None
            np.testing.assert_array_equal(found[f"{name}_rgb"], one.pca.rgb)
            np.testing.assert_array_equal(found[f"{name}_components"], one.pca.components)
            assert f"{name}_heads" not in found.files
        assert found["A_heads"].shape == (1, *found["A"].shape)


def test_a_record_has_numbers_of_what_has_them(comparison: Comparison, bundle: dict[str, bytes]) -> None:
    run = json.loads(bundle["run.json"])
    assert [pane["pane"] for pane in run["panes"]] == list(PANES)
    assert [pane["query"] is None for pane in run["panes"]] == [False] * 3 + [True] * 3, "PCA has no query"
    assert [pane["unit"] for pane in run["panes"]][1:4] == [
        "cosine similarity",
        "attention weight",
        "first principal component",
    ]
    similarity, attention, pca = (run["numbers"]["maps"][number] for number in (A, C, D))
    assert set(similarity) == {"pane", "mean", "minimum", "maximum"}
    assert similarity["maximum"] == pytest.approx(1)
    assert set(attention) == {"pane", "sum", "maximum", "entropy_bits", "centre_y_px", "centre_x_px"}
    assert comparison.results[D].pca is not None
    assert pca["explained"] == pytest.approx(sum(comparison.results[D].pca.explained))
    rows = {(row["first"], row["second"]): row for row in run["numbers"]["agreement"]}
    assert -1 <= rows["A", "B"]["pearson"] <= 1
    assert rows["A", "B"]["jsd_bits"] is None
    assert all(rows["A", "D"][name] is None for name in ("pearson", "spearman", "jsd_bits", "iou", "shift_px"))


def test_the_page_and_the_sheet_have_a_legend_a_kind_and_the_words(
    comparison: Comparison, bundle: dict[str, bytes]
) -> None:
    html = bundle["comparison.html"].decode()
    assert "<h1>Token similarity, attention and PCA of tokens compared: Demo ViT /8, Demo ViT /16</h1>" in html
    for words in (
        "principal component, fitted to D, E together",
        "difference of cosine similarity",
        "attention weight of a patch of 8 px",
        "no difference to A: principal components are shown as colours",
    ):
        assert words in html
    with_notes = comparison_sheet(drawn(comparison, show="mask"), frame=FRAME, opacity=0.6)["png"]
    without = comparison_sheet(drawn(comparison), frame=FRAME, opacity=0.6)["png"]
    heights = [Image.open(io.BytesIO(png)).height for png in (with_notes, without)]
    assert heights[0] > heights[1], "the words stand below the titles"
    assert {"comparison.pdf", "comparison.svg", "comparison.png"} <= bundle.keys()
