"""How maps lie on masks, by hand on 2×3 patches of 4 px; and which head finds a generated scene's objects."""

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.trace_builders import made_trace
from vit_engine.demo.scenes import draw_scene
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import Quantity

GRID = TokenGrid(1, 2, 3, 4)
BOX = (0, 1 / 3, 1, 0.5)  # half of the middle column: a sixth of the picture


def shown(*values: float, **options: object) -> ve.AttentionMap:
    return ve.AttentionMap(np.float32(values).reshape(2, 3), GRID, "by hand", **options)


def pixels(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((8, 12), dtype=bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


HALF_COLUMN = pixels((0, 4, 8, 6))


@pytest.mark.parametrize("mask", [BOX, HALF_COLUMN, np.array(BOX)])
def test_share_area_gain_and_hit_by_hand(mask: object) -> None:
    found = ve.pointing(shown(0.1, 0.3, 0.1, 0.1, 0.2, 0.2), mask)
    assert found.share == pytest.approx(0.25)  # half of 0.3 + 0.2
    assert found.area == pytest.approx(1 / 6)
    assert found.gain == pytest.approx(1.5)
    assert found.hit


def test_the_best_overlap_over_all_thresholds_by_hand() -> None:
    # The mask: the middle column. Kept: (0,1); then both 0.2s at once, one of them inside; then all.
    found = ve.pointing(shown(0.1, 0.4, 0.05, 0.05, 0.2, 0.2), pixels((0, 4, 8, 8)))
    assert found.iou == pytest.approx(2 / 3)
    assert found.threshold == pytest.approx(0.2)
    assert found.kept == pytest.approx(0.8)


def test_of_equal_overlaps_the_fewest_patches_are_kept() -> None:
    # 1 of 2 with one patch, 2 of 4 with four.
    found = ve.pointing(shown(0.4, 0.3, 0.2, 0.05, 0.03, 0.02), pixels((0, 0, 4, 4), (4, 0, 8, 4)))
    assert (found.iou, found.threshold) == (pytest.approx(0.5), pytest.approx(0.4))


def test_a_box_covers_patches_in_part_exactly() -> None:
    only_first = shown(1, 0, 0, 0, 0, 0)
    found = ve.pointing(only_first, (0.1, 0.1, 0.35, 0.3))
    assert found.share == pytest.approx(0.5 * 0.6)  # of the patch's 0..0.5 and 0..1/3
    assert found.area == pytest.approx(0.25 * 0.2)


def test_of_a_signed_map_the_positive_part_counts() -> None:
    found = ve.pointing(shown(-5, 1, 0, 0, 1, -1), pixels((0, 4, 4, 8)))
    assert (found.share, found.hit) == (0.5, False)  # of two equal maxima one lies outside
    assert found.iou == pytest.approx(0.5)


def test_a_hit_is_more_than_a_quarter_of_the_patch_or_as_much_as_any_has() -> None:
    largest_first = shown(9, 1, 1, 1, 1, 1)
    assert ve.pointing(largest_first, pixels((0, 0, 1, 4))).hit  # a quarter, but no patch has more
    assert not ve.pointing(largest_first, pixels((0, 0, 1, 4), (0, 4, 4, 8))).hit
    assert ve.pointing(largest_first, pixels((0, 0, 2, 4), (0, 4, 4, 8))).hit


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 12), dtype=bool), "mask is empty"),
        (np.ones((8, 12), dtype=bool), "covers the whole picture"),
        ((0, 0, 1, 1), "covers the whole picture"),
        (np.ones((12, 8), dtype=bool), r"8×12 px \(height×width\); got 12×8 px"),
        (np.ones((8, 12), dtype=np.uint8), "must be bool"),
        ((0.5, 0, 0.5, 1), "y0 < y1"),
        ((0, 0, 8, 12), r"fractions 0\.\.1"),
        ((0, float("nan"), 1, 1), r"fractions 0\.\.1"),
        (np.ones((8, 12, 3)), r"got shape \(8, 12, 3\)"),
    ],
)
def test_masks_that_cannot_be_are_refused(mask: object, message: str) -> None:
    with pytest.raises(ve.SpecError, match=message):
        ve.pointing(shown(1, 2, 3, 4, 5, 6), mask)


@pytest.mark.parametrize(
    ("nowhere", "message"),
    [
        (shown(0, 0, -1, 0, 0, 0), "no value of it is above 0"),
        (None, "the map must be an AttentionMap, as attribute\\(\\) gives it; got NoneType"),
        (shown(1, np.nan, 1, 1, 1, 1), "not all of its values are finite"),
        (shown(1, 2, 3, 4, 5, 6, quantity=Quantity.FITTED), "principal component"),
    ],
)
def test_a_map_without_mass_points_nowhere(nowhere: ve.AttentionMap, message: str) -> None:
    with pytest.raises(ve.SpecError, match=message):
        ve.pointing(nowhere, BOX)


WEIGHTS = {  # of CLS and six patches; the mask is the first patch
    0: np.array([[0.3, 0.2, 0.5, 0, 0, 0, 0], [0.9, 0.1, 0, 0, 0, 0, 0]]),
    2: np.array([[0, 0.4, 0.6, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]]),
}


def test_every_head_of_every_layer_is_ranked_the_largest_share_first() -> None:
    frame = ve.rank_pointing(made_trace(WEIGHTS, grid=GRID), pixels((0, 0, 4, 4)))
    assert list(frame) == ["method", "layer", "head", "share", "area", "gain", "hit", "iou", "threshold", "kept"]
    assert frame[["layer", "head"]].to_numpy().tolist() == [[0, 1], [2, 0], [0, 0], [2, 1]]
    np.testing.assert_allclose(frame["share"], [1, 0.4, 2 / 7, 0], atol=1e-6)
    assert frame["hit"].tolist() == [True, False, False, False]
    assert set(frame["method"]) == {"raw"}


def test_several_methods_stand_in_one_table_and_the_last_are_those_without_mass() -> None:
    nothing = np.zeros((2, 7))
    nothing[:, 0] = 1  # all on CLS itself: attention to patches underflows to 0
    trace = made_trace({0: WEIGHTS[0], 1: nothing}, grid=GRID)
    frame = ve.rank_pointing(trace, pixels((0, 0, 4, 4)), methods=("raw", "column"))
    assert len(frame) == 8
    last = frame[(frame["method"] == "raw") & (frame["layer"] == 1)]
    assert last.index.tolist() == [6, 7]
    assert last["share"].isna().all()
    assert not last["hit"].any()


def test_chosen_layers_and_options_of_a_method(small: ve.LoadedModel, prepared: ve.PreparedImage) -> None:
    run = ve.Run(ve.attend(small, prepared, statistics="none"), small, prepared)
    options = {"relevance": {"start": 1}}
    methods = "relevance", "grad_cam", "raw"
    frame = ve.rank_pointing(run, BOX, methods=methods, layers=[1, 0], options=options, target=3)
    places = sorted(map(tuple, frame[["method", "layer", "head"]].fillna(-1).to_numpy().tolist()))
    heads = [("raw", layer, head) for layer in (0, 1) for head in (0, 1, 2)]
    assert places == [("grad_cam", 1, -1), *heads, ("relevance", -1, -1)]
    assert set(ve.rank_pointing(run, BOX, layers=0)["layer"]) == {0}
    relevance = ve.find_method("relevance").attribute(run, target=3, options=options["relevance"]).map
    share = frame.loc[frame["method"] == "relevance", "share"].item()
    assert share == pytest.approx(ve.pointing(relevance, BOX).share)
    with pytest.raises(ve.SpecError, match="of the methods that are asked for, raw; got 'relevance', 'b', 'a'"):
        ve.rank_pointing(run, BOX, options=options | {"b": {}, "a": {}})
    with pytest.raises(ve.SpecError, match=r"options must be by method, .* got None"):
        ve.rank_pointing(run, BOX, options=None)
    with pytest.raises(ve.SpecError, match="methods must be a list of names; got 'raw' alone"):
        ve.rank_pointing(run, BOX, methods="raw")
    with pytest.raises(ve.SpecError, match=r"methods must be a list of names, as .* got None"):
        ve.rank_pointing(run, BOX, methods=None)
    with pytest.raises(ve.SpecError, match="no method is called 'pca'"):
        ve.rank_pointing(run, BOX, methods=["pca"])
    with pytest.raises(ve.SpecError, match="at least one method"):
        ve.rank_pointing(run, BOX, methods=())


def test_the_best_head_of_a_demo_model_finds_the_objects_of_a_scene() -> None:
    loaded = ve.load_model("demo_vit_p8", device="cpu")
    best = []
    for seed in (3, 4, 5):
        scene = draw_scene(seed, (90, 130))
        prepared = ve.prepare_image(scene.pixels, loaded.spec, size=66)
        trace = ve.attend(loaded, prepared, statistics="none")
        mask = ve.fit_mask(scene.objects, loaded.spec, size=66)
        assert mask.shape == prepared.pixels.shape[:2]
        best.append(ve.rank_pointing(trace, mask).iloc[0])
    assert all(row["hit"] and row["gain"] > 3 for row in best)
