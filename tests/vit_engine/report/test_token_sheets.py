"""Sheets of tokens: the right colour on the right patch, lines between the right patches, numbers in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.report.builders import pixels_of
from vit_engine.grid import TokenGrid
from vit_engine.report.colours import colour_stops, coloured
from vit_engine.report.panels import WARNING
from vit_engine.report.sheets import GAP
from vit_engine.report.token_sheets import token_sheet
from vit_engine.report.token_views import (
    OPACITY,
    MatchesView,
    NormsView,
    PcaView,
    SimilarityView,
    TokenPicture,
    TokenView,
    norms_in_words,
)
from vit_engine.spec import ModelSpec
from vit_engine.trace.features import FinalNorm

ALARM, MARK, EDGE = (0xB3, 0x26, 0x1E), (255, 255, 255), (0x11, 0x11, 0x11)
GREEN, BLUE = (0, 200, 0), (0, 0, 200)
PATCH = 144  # pixels of the sheet: five patches on 720


def picture_of(
    spec: ModelSpec, *, rows: int = 3, cols: int = 5, colour: tuple[int, int, int] = GREEN, **options: Any
) -> TokenPicture:
    """A picture of one colour, whose tokens are noise."""
    grid = TokenGrid(spec.prefix, rows, cols, spec.patch_size)
    noise = np.random.default_rng(rows).standard_normal((grid.tokens, spec.dim)).astype(np.float16)
    norm = FinalNorm(np.ones(spec.dim, np.float32), np.zeros(spec.dim, np.float32), 1e-6)
    features = ve.Features(spec, grid, "", "token", {1: noise}, norm)
    pixels = np.full((grid.height, grid.width, 3), colour, np.uint8)
    return TokenPicture(features, pixels, **options)


@pytest.fixture
def picture(small_spec: ModelSpec) -> TokenPicture:
    return picture_of(small_spec)


def sheet_of(view: TokenView) -> np.ndarray:
    return pixels_of(token_sheet(view)["png"])


def top_left(sheet: np.ndarray, colour: tuple[int, int, int] = GREEN) -> tuple[int, int]:
    """Of the pixels of a colour: a pane's corner."""
    ys, xs = np.nonzero((sheet == colour).all(axis=-1))
    return int(ys.min()), int(xs.min())


def map_of(sheet: np.ndarray, rows: int = 3, cols: int = 5, colour: tuple[int, int, int] = GREEN) -> np.ndarray:
    """The pane beside the picture of this colour, (rows, side of a patch, cols, side, 3)."""
    top, left = top_left(sheet, colour)
    left, side = left + 720 + GAP, 720 // cols
    return sheet[top : top + rows * side, left : left + 720].reshape(rows, side, cols, side, 3)


def count(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=-1).sum())


def pca_of(picture: TokenPicture, **options: Any) -> ve.PcaMap:
    shown = ve.pca_map(picture.features, **options)
    rgb = np.random.default_rng(7).random((*picture.features.grid.shape, 3)).astype(np.float32)
    return replace(shown, rgb=rgb)


def test_each_patch_has_the_colour_of_its_components(picture: TokenPicture) -> None:
    shown = pca_of(picture)
    patches = map_of(sheet_of(PcaView((picture,), (shown,))))
    expected = np.round(255 * shown.rgb)[:, None, :, None]
    assert abs(patches - expected).max() <= 1


def test_outside_the_foreground_is_the_grey_picture(picture: TokenPicture) -> None:
    mask = np.zeros((3, 5), dtype=bool)
    mask[0, 3] = mask[2, 1] = True
    shown = replace(pca_of(picture), foreground=mask)
    view = PcaView((picture,), (shown,))
    middles = map_of(sheet_of(view))[:, PATCH // 2, :, PATCH // 2]
    np.testing.assert_allclose(middles[~mask], round(200 * 0.587), atol=1)
    np.testing.assert_allclose(middles[mask], 255 * shown.rgb[mask], atol=1)
    assert "Foreground: 2 of 15 patches" in view.lines()[-1]
    assert "% of the foreground's variance, " in view.lines()[1]


def test_components_are_named_with_their_shares(picture: TokenPicture) -> None:
    shown = replace(pca_of(picture), explained=(0.5, 0.25, 0.0625))
    first, second = PcaView((picture,), (shown,)).lines()
    assert first == "Small · PCA of tokens of layer 1"
    assert "first, second and third component: 50.0, 25.0, 6.2 % of the variance, 81.2 % in all" in second
    other = picture_of(picture.features.spec, rows=4)
    both = PcaView((picture, other), ve.pca_map([picture.features, other.features]))
    assert both.lines()[0].endswith("fitted to 2 pictures together")
    alone = PcaView((picture,), (shown,), fitted=9)
    assert alone.lines()[0].endswith("fitted to 9 pictures together")


def test_a_second_picture_stands_below_the_first_at_its_own_grid(picture: TokenPicture) -> None:
    other = picture_of(picture.features.spec, rows=2, cols=4, colour=BLUE)
    first, second = pca_of(picture), pca_of(other)
    sheet = sheet_of(PcaView((picture, other), (first, second)))
    assert top_left(sheet, BLUE)[0] >= top_left(sheet)[0] + 3 * PATCH + GAP
    assert top_left(sheet, BLUE)[1] == top_left(sheet)[1] == GAP
    assert abs(map_of(sheet, rows=2, cols=4, colour=BLUE) - np.round(255 * second.rgb)[:, None, :, None]).max() <= 1
    assert abs(map_of(sheet) - np.round(255 * first.rgb)[:, None, :, None]).max() <= 1


def similarity_of(picture: TokenPicture, values: np.ndarray) -> ve.AttentionMap:
    label = "similarity to patch row 1, col 3 · tokens of layer 1"
    return ve.AttentionMap(values.astype(np.float32), picture.features.grid, label, "cosine similarity")


def test_similarity_lies_over_the_grey_picture_with_the_query_marked_in_the_first_picture(
    picture: TokenPicture,
) -> None:
    other = picture_of(picture.features.spec, rows=2, colour=BLUE)
    values = np.linspace(-0.25, 1, 15).reshape(3, 5)
    maps = similarity_of(picture, values), similarity_of(other, values[:2])
    view = SimilarityView((picture, other), maps, (1, 3))
    assert view.lines() == ["Small · similarity to patch row 1, col 3 of the first picture · tokens of layer 1"]
    panels = view.rows()
    assert [[panel.patch for panel in row] for row in panels] == [[(1, 3), (1, 3)], [None, None]]
    sheet = sheet_of(view)
    luma = round(200 * 0.587)
    expected = (1 - OPACITY) * luma + OPACITY * coloured(values, -0.25, 1, colour_stops("inferno"))[..., :3]
    corners = map_of(sheet)[:, PATCH // 8, :, PATCH // 8]
    np.testing.assert_allclose(corners, expected, atol=2)
    top, left = top_left(sheet)
    for start in (left, left + 720 + GAP):
        assert tuple(sheet[top + PATCH + PATCH // 2, start + 3 * PATCH + PATCH // 2]) == MARK


def test_the_legend_has_numbers_at_its_ends_and_a_unit(picture: TokenPicture) -> None:
    shown = similarity_of(picture, np.linspace(-0.25, 1, 15).reshape(3, 5))
    legend = SimilarityView((picture,), (shown,)).legend()
    assert legend is not None
    assert (legend.low, legend.middle, legend.high, legend.unit) == ("−0.25", "0.375", "1", "cosine similarity")
    cut = SimilarityView((picture,), (shown,), low=0.0, high=0.5).legend()
    assert cut is not None
    assert (cut.low, cut.high) == ("0 or less", "0.5 or more")


def test_the_cls_token_has_no_mark(picture: TokenPicture) -> None:
    shown = ve.similarity_map(picture.features, "cls")
    view = SimilarityView((picture,), (shown,), "cls")
    assert view.lines() == ["Small · similarity to CLS · tokens of layer 1"]
    assert [panel.patch for row in view.rows() for panel in row] == [None, None]


def norms_of(picture: TokenPicture, *longest: float) -> ve.TokenNorms:
    """Patches of length 10 but for some in row 2, from column 1 on; the CLS token's is 8."""
    features = picture.features
    tokens = np.zeros((features.grid.tokens, features.spec.dim), np.float16)
    tokens[:, 0] = 10
    tokens[0, 0] = 8
    for place, length in enumerate(longest):
        tokens[features.grid.prefix + 2 * 5 + 1 + place, 0] = length
    return ve.token_norms(replace(features, layers={1: tokens}, computed={}))


@pytest.mark.parametrize(
    ("longest", "words"),
    [
        ([], "largest 10.0 · CLS token 8.0 · no patch is longer than 3 × the median"),
        ([29], "largest 29.0 · CLS token 8.0 · no patch is longer than 3 × the median"),
        ([31], "1 patch is longer than 3 × the median, at (row, column) (2, 1)"),
        ([31, 50], "2 patches are longer than 3 × the median, at (row, column) (2, 2), (2, 1)"),
    ],
)
def test_norms_in_words(picture: TokenPicture, longest: list[float], words: str) -> None:
    text = norms_in_words(norms_of(picture, *longest))
    assert text.startswith("median 10.0 · largest ")
    assert text.endswith(words)


def test_outliers_are_outlined_on_the_map_of_norms(picture: TokenPicture) -> None:
    view = NormsView((picture,), (norms_of(picture, 31, 50, 29),))
    (outline,) = view.rows()[0][1].outlines
    assert (outline.min(axis=0).tolist(), outline.max(axis=0).tolist()) == ([8, 4], [12, 12]), "row 2, columns 1 and 2"
    patches = map_of(sheet_of(view))
    assert (patches[2, :, 1:3] == EDGE).all(axis=-1).any(axis=(0, 2)).all()
    assert not (patches[0] == EDGE).all(axis=-1).any()
    legend = view.legend()
    assert legend is not None
    assert (legend.low, legend.high) == ("10", "50")
    assert "length" in legend.unit


def matches_of(first: TokenPicture, second: TokenPicture, pairs: list[tuple[tuple[int, int], tuple[int, int]]]):
    places = np.array(pairs, dtype=int).reshape(-1, 2, 2)
    similarity = np.linspace(0.9, 0.5, len(pairs)).astype(np.float32)
    ratio = np.linspace(0.2, 0.75, len(pairs)).astype(np.float32)
    grids = first.features.grid, second.features.grid
    return ve.Correspondences(places[:, 0], places[:, 1], similarity, ratio, grids, 11, "mutual nearest neighbours")


def test_lines_run_from_the_middle_of_a_patch_to_the_middle_of_its_match(picture: TokenPicture) -> None:
    other = picture_of(picture.features.spec, rows=4, colour=BLUE)
    sheet = sheet_of(MatchesView((picture, other), matches_of(picture, other, [((0, 1), (3, 2)), ((2, 4), (0, 0))])))
    colours = coloured(np.array([1.0, 4.0]), 0.0, 4.0, colour_stops("turbo"))[:, :3].round()
    (top, left), (other_top, other_left) = top_left(sheet), top_left(sheet, BLUE)
    assert (other_top, other_left) == (top, left + 720 + GAP)
    for (row, col), start, colour in (
        ((0, 1), left, colours[0]),
        ((3, 2), other_left, colours[0]),
        ((2, 4), left, colours[1]),
        ((0, 0), other_left, colours[1]),
    ):
        point = sheet[top + row * PATCH + PATCH // 2, start + col * PATCH + PATCH // 2]
        np.testing.assert_allclose(point, colour, atol=2)
    middle = (left + PATCH + PATCH // 2 + other_left + 2 * PATCH + PATCH // 2) // 2  # half-way, at row 2's top
    np.testing.assert_allclose(sheet[top + 2 * PATCH, middle], colours[0], atol=2)


def test_only_the_clearest_are_drawn_and_the_caption_counts(picture: TokenPicture) -> None:
    pairs = [((0, 1), (1, 1)), ((1, 3), (0, 3)), ((2, 4), (2, 0))]
    matches = matches_of(picture, picture, pairs)
    both = replace(picture, name="second")
    view = MatchesView((picture, both), matches, most=2)
    assert "3 of 11 pairs of mutual nearest neighbours are kept, the 2 clearest are drawn" in view.lines()[1]
    assert "cosine similarity 0.5 to 0.9" in view.lines()[1]
    sheet, (top, left) = sheet_of(view), top_left(sheet_of(view))
    assert tuple(sheet[top + 2 * PATCH + PATCH // 2, left + 4 * PATCH + PATCH // 2]) == GREEN
    none = MatchesView((picture, both), matches_of(picture, both, []))
    assert none.lines()[1:] == ["0 of 11 pairs of mutual nearest neighbours are kept: no pair is clear enough"]
    assert count(sheet_of(none), EDGE) == 0


def test_a_zoomed_picture_shows_its_part_and_no_lines_from_elsewhere(picture: TokenPicture) -> None:
    """Rows 1 and 2 of columns 2 to 4, of patches of 4 px: 240 px a patch."""
    zoomed = replace(picture, zoom=(4.0, 8.0, 12.0, 20.0))
    sheet = sheet_of(MatchesView((zoomed, zoomed), matches_of(zoomed, zoomed, [((1, 3), (2, 4)), ((0, 3), (1, 2))])))
    top, left = top_left(sheet)
    assert count(sheet[top : top + 240, left + 240 : left + 480], EDGE) > 0
    assert count(sheet[: top + 2], EDGE) == 0
    assert tuple(sheet[top + 120, left + 720 + GAP + 120]) == GREEN, "its other end is out of view"


@pytest.mark.parametrize("name", ["pca", "similarity", "norms", "matches"])
def test_random_weights_are_called_so_in_red_and_the_same_view_is_the_same_files(
    picture: TokenPicture, name: str
) -> None:
    def view_of(each: TokenPicture) -> TokenView:
        return {
            "pca": PcaView((each,), (pca_of(each),)),
            "similarity": SimilarityView((each,), (ve.similarity_map(each.features, (1, 3)),), (1, 3)),
            "norms": NormsView((each,), (norms_of(each),)),
            "matches": MatchesView((each, each), matches_of(each, each, [((0, 1), (1, 1))])),
        }[name]

    untrained = replace(picture, features=replace(picture.features, random=True, layers=dict(picture.features.layers)))
    trained, random = sheet_of(view_of(picture)), sheet_of(view_of(untrained))
    assert (count(trained, ALARM), count(random, ALARM) > 200) == (0, True)
    assert "RANDOM WEIGHTS" in WARNING
    kinds = ("png", "pdf", "svg")
    files = token_sheet(view_of(picture), kinds=kinds)
    assert files == token_sheet(view_of(picture), kinds=kinds)
    assert {kind: data[:5] for kind, data in files.items()} == {"png": b"\x89PNG\r", "pdf": b"%PDF-", "svg": b"<?xml"}


def test_long_names_are_broken_and_letters_that_the_font_lacks_are_boxes(picture: TokenPicture) -> None:
    named = replace(picture, name="模型\x07 " + "a_long_name_without_any_place_to_break_it" * 5)
    short, long = (sheet_of(PcaView((each,), (pca_of(each),))) for each in (picture, named))
    assert long.shape[0] > short.shape[0] + 2 * 38
    assert long.shape[1] == short.shape[1] == 2 * (720 + GAP) + GAP


def test_maps_and_pixels_of_another_grid_are_refused(picture: TokenPicture) -> None:
    other = picture_of(picture.features.spec, rows=4)
    with pytest.raises(ve.SpecError, match="map of its own grid"):
        PcaView((picture,), (pca_of(other),))
    with pytest.raises(ve.SpecError, match="map of its own grid"):
        MatchesView((picture, picture), matches_of(picture, other, [((0, 1), (3, 1))]))
    with pytest.raises(ve.SpecError, match=r"pixels of 'picture' must be .*\(12, 20, 3\); got \(16, 20, 3\)"):
        replace(picture, pixels=other.pixels)
