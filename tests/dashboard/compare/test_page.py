"""Compare draws what the engine says: maps, differences, masks, scales, agreement and heads side by side."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.compare import export
from dashboard.compare.tables import NORMALISED_ONLY
from dashboard.keys import of_pane
from dashboard.testing import decode_figure
from tests.dashboard.compare.fixtures_compare import (
    P8,
    P16,
    SHAPES,
    assert_maps,
    assert_works,
    engine_attention,
    engine_map,
    figure_of,
    opened,
    panes_of,
    trace_of,
)
from tests.dashboard.support import DETAILS

MIXED = ("demo_vit_p8:2:1", "demo_vit_p16:5:mean", "demo_vit_p16:0:max")
SAME = ("demo_vit_p16:3:0", "random_demo_vit_p16:3:0")


def spread(coarse: np.ndarray) -> np.ndarray:
    """A map of 16 px patches, normalised, on the grid of 8 px that covers both crops."""
    fine = np.zeros(SHAPES[8])
    fine[:, : 2 * coarse.shape[1]] = np.kron(coarse / coarse.sum(), np.full((2, 2), 0.25))
    return fine


def test_the_page_opens_with_a_model_in_two_patch_sizes() -> None:
    at = opened()
    assert panes_of(at) == [P8, P16]
    assert_maps(at, P8, P16)
    assert_works(at.run())
    assert_maps(at, P8, P16)


def test_every_pane_draws_what_the_engine_says_of_its_model_layer_and_head() -> None:
    at = opened(*MIXED)
    assert_maps(at, *MIXED)
    drawn = figure_of(at)
    assert [drawn[f"attention {name}"]["z"].shape for name in "ABC"] == [SHAPES[8], SHAPES[16], SHAPES[16]]
    assert [drawn[f"attention {name}"]["dx"] for name in "ABC"] == [8, 16, 16]


def test_a_point_is_asked_of_all_panes_but_those_with_a_query_of_their_own() -> None:
    """0.4 and 0.55 of 96×126 px are 38.4 and 69.3 px: of 8 px row 4, column 8; of 16 px row 2, column 4."""
    panes = ("demo_vit_p8:2:1", P16, f"{P8}:raw:cls", f"{P16}:raw:0.99,0.02")
    at = opened(*panes, query="0.4,0.55")
    assert_maps(at, "demo_vit_p8:2:1", P16, P8, P16, queries=((4, 8), (2, 4), "cls", (5, 0)))


def limits(drawn: dict) -> list[tuple[float, float]]:
    return [(drawn[f"attention {name}"]["zmin"], drawn[f"attention {name}"]["zmax"]) for name in "ABC"]


@pytest.mark.parametrize("clip", ["90", "100"])
def test_a_shared_scale_is_one_multiple_of_even_attention_over_patch_sizes(clip: str) -> None:
    maps = [engine_map(pane) for pane in MIXED]
    end = np.percentile(np.concatenate([one.ravel() * one.size for one in maps]), float(clip))
    drawn = figure_of(opened(*MIXED, clip=clip))
    np.testing.assert_allclose(limits(drawn), [(0, end / one.size) for one in maps], **DETAILS)


def test_on_its_own_scale_each_pane_ends_at_its_own_percentile() -> None:
    at = opened(*MIXED, pane_scale="own", clip="98")
    expected = [(0, np.percentile(engine_map(pane), 98)) for pane in MIXED]
    np.testing.assert_allclose(limits(figure_of(at)), expected, **DETAILS)
    ends = [caption.value.rpartition("colours end at ")[2] for caption in at.caption if "colours end" in caption.value]
    assert ends == [f"{end:.2%} of attention" for _, end in expected]


def test_a_logarithmic_scale_has_three_decades() -> None:
    maps = [engine_map(pane) for pane in MIXED]
    end = np.percentile(np.concatenate([one.ravel() * one.size for one in maps]), 99.5)
    drawn = figure_of(opened(*MIXED, pane_scale="log"))
    for name, one, (low, high) in zip("ABC", maps, limits(drawn), strict=True):
        assert high == pytest.approx(np.log10(end / one.size), abs=1e-4)
        assert high - low == pytest.approx(3)
        np.testing.assert_allclose(drawn[f"attention {name}"]["z"], np.log10(np.maximum(one, 10**low)), atol=1e-4)
        np.testing.assert_allclose(drawn[f"attention {name}"]["customdata"], one, **DETAILS)


def test_differences_are_of_shares_on_the_common_grid_and_their_scale_is_centred_on_zero() -> None:
    fine, coarse = engine_map(MIXED[0]).astype(float), engine_map(MIXED[1]).astype(float)
    expected = spread(coarse) - fine / fine.sum()
    at = opened(*MIXED[:2], show="difference", clip="100")
    drawn = figure_of(at)
    np.testing.assert_allclose(drawn["attention A"]["z"], fine, **DETAILS)
    np.testing.assert_allclose(drawn["attention B"]["z"], expected, **DETAILS)
    assert abs(drawn["attention B"]["z"].sum()) < 1e-6
    low, high = drawn["attention B"]["zmin"], drawn["attention B"]["zmax"]
    assert -low == high == pytest.approx(abs(expected).max(), rel=1e-4)
    assert "difference of shares" in drawn["attention B"]["hovertemplate"]


def test_another_reference_turns_the_difference_round() -> None:
    fine, coarse = engine_map(MIXED[0]).astype(float), engine_map(MIXED[1]).astype(float)
    drawn = figure_of(opened(*MIXED[:2], show="difference", reference="B"))
    np.testing.assert_allclose(drawn["attention A"]["z"], fine / fine.sum() - spread(coarse), **DETAILS)
    np.testing.assert_allclose(drawn["attention B"]["z"], coarse, **DETAILS)


@pytest.mark.parametrize("keep", [35, 90])
def test_a_mask_draws_the_fewest_patches_that_hold_the_share_and_outlines_them(keep: int) -> None:
    drawn = figure_of(opened(*MIXED, show="mask", keep=str(keep)))
    for name, pane in zip("ABC", MIXED, strict=True):
        values = engine_map(pane).astype(float)
        ordered = np.sort(values.ravel())[::-1]
        smallest = ordered[np.searchsorted(np.cumsum(ordered), keep / 100 * ordered.sum())]
        kept = values >= smallest * (1 - 1e-5)
        z = drawn[f"attention {name}"]["z"]
        assert np.array_equal(np.isfinite(z), kept)
        np.testing.assert_allclose(z[kept], values[kept], **DETAILS)
        patch, outline = drawn[f"attention {name}"]["dx"], drawn[f"outline {name}"]
        rows, cols = np.nonzero(kept)
        inside = np.array([np.nanmin(outline["y"]), np.nanmax(outline["y"])])
        np.testing.assert_allclose(inside, [rows.min() * patch, (rows.max() + 1) * patch], atol=0.3 * patch)
        across = np.array([np.nanmin(outline["x"]), np.nanmax(outline["x"])])
        np.testing.assert_allclose(across, [cols.min() * patch, (cols.max() + 1) * patch], atol=0.3 * patch)


def test_opacity_and_colours_are_those_of_the_sidebar() -> None:
    at = opened(*MIXED, opacity="35", colours="cividis")
    drawn = figure_of(at)
    for name in "ABC":
        assert drawn[f"attention {name}"]["opacity"] == 0.35
        assert drawn[f"attention {name}"]["colorscale"][0][1] in {"rgb(0, 34, 78)", "rgb(0,34,78)"}
    at.slider(key=keys.OPACITY).set_value(80).run()
    assert figure_of(at)["attention B"]["opacity"] == 0.8


def agreement_of(at: AppTest) -> pd.DataFrame:
    return at.dataframe(key=keys.AGREEMENT).value


@pytest.mark.parametrize(("reference", "keep"), [("A", 60), ("B", 25)])
def test_the_agreement_of_every_pair_is_the_engines_the_reference_first(reference: str, keep: int) -> None:
    at = opened(*MIXED, reference=reference, keep=str(keep))
    pairs = {"A": ["AB", "AC", "BC"], "B": ["BA", "BC", "AC"]}[reference]
    frame = agreement_of(at)
    assert (frame["first"] + frame["second"]).tolist() == pairs
    for pair, row in zip(pairs, frame.itertuples(), strict=True):
        first, second = (engine_attention(MIXED["ABC".index(name)]) for name in pair)
        found = ve.agreement(first, second, keep=keep / 100)
        expected = [found.pearson, found.spearman, found.jsd_bits, found.iou, found.shift_px]
        np.testing.assert_allclose(row[3:], expected, rtol=1e-3, atol=1e-5)
    assert any(f"{keep}%" in one.value for one in at.markdown if "Agreement" in one.value)


def test_a_pane_agrees_wholly_with_its_double() -> None:
    frame = agreement_of(opened(P16, P16))
    np.testing.assert_allclose(frame[["pearson", "spearman", "iou"]].to_numpy(float), 1, atol=1e-6)
    np.testing.assert_allclose(frame[["jsd_bits", "shift_px"]].to_numpy(float), 0, atol=1e-6)


def table(at: AppTest) -> pd.DataFrame:
    """The table of heads, its two rows of titles in one."""
    frame = at.dataframe(key=keys.COMPARE_HEADS).value
    return frame.set_axis([" | ".join(filter(None, titles)) for titles in frame.columns], axis=1)


def statistic_of(model: str, layer: int | None, name: str) -> np.ndarray:
    frame = trace_of(model).statistics.to_frame()
    return (frame if layer is None else frame[frame["layer"] == layer])[name].to_numpy(float)


def test_heads_stand_side_by_side_with_deltas_to_the_reference() -> None:
    at = opened(*MIXED, reference="B")
    frame, name = table(at), "cls_entropy_normalised"
    p8, p16 = "Demo ViT /8", "Demo ViT /16"
    title = "CLS entropy / max"
    assert list(frame.columns) == [
        "head",
        f"A · {p8} · layer 2 | {title}",
        f"A · {p8} · layer 2 | Δ to B",
        f"B · {p16} · layer 5 | {title}",
        f"C · {p16} · layer 0 | {title}",
        f"C · {p16} · layer 0 | Δ to B",
    ]
    models = (("demo_vit_p8", 2), ("demo_vit_p16", 5), ("demo_vit_p16", 0))
    first, base, third = (statistic_of(model, layer, name) for model, layer in models)
    expected = np.stack([np.arange(4), first, first - base, base, third, third - base], axis=1)
    np.testing.assert_allclose(frame.to_numpy(float), expected, rtol=1e-4, atol=1e-5)


def test_all_layers_can_be_shown_and_the_largest_differences_first() -> None:
    at = opened(*MIXED[:2], rows="all", statistic="mean_patch_entropy_normalised")
    name = "mean_patch_entropy_normalised"
    first, second = (statistic_of(model, None, name) for model in ("demo_vit_p8", "demo_vit_p16"))
    frame = table(at)
    places = np.stack([np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)], axis=1)
    np.testing.assert_array_equal(frame[["layer", "head"]].to_numpy(int), places)
    np.testing.assert_allclose(frame.iloc[:, 2:5].to_numpy(float).T, [first, second, second - first], atol=1e-5)
    at.segmented_control(key=keys.COMPARE_ORDER).set_value("difference").run()
    sizes = table(at).iloc[:, 4].abs().to_numpy(float)
    assert np.array_equal(sizes, np.sort(sizes)[::-1])
    assert sizes[0] == pytest.approx(abs(second - first).max(), rel=1e-3)


def test_an_order_by_differences_is_offered_only_where_there_are_some() -> None:
    at = opened(P8, P8, order="difference")
    assert keys.COMPARE_ORDER not in [each.key for each in at.segmented_control]
    assert table(at)["head"].tolist() == [0, 1, 2, 3]
    assert at.query_params["order"] == "difference"
    at.selectbox(key=of_pane(keys.PANE_MODEL, 1)).set_value("demo_vit_p16").run()
    assert at.segmented_control(key=keys.COMPARE_ORDER).value == "difference"
    sizes = table(at).iloc[:, 3].abs().to_numpy(float)
    assert np.array_equal(sizes, np.sort(sizes)[::-1])


def test_where_a_model_has_no_such_head_there_is_no_number() -> None:
    frame = table(opened("demo_vit_p16:3:0", "random_vit_tiny_p16:3:0"))
    assert frame["head"].tolist() == [0, 1, 2, 3]
    assert np.array_equal(np.isnan(frame.iloc[3, 1:].to_numpy(float)), [False, True, True])


def options_of(at: AppTest) -> list[str]:
    return at.selectbox(key=keys.STATISTIC).options


def told_why(at: AppTest) -> bool:
    return any(NORMALISED_ONLY in caption.value for caption in at.caption)


def test_only_what_compares_is_offered_across_token_counts_and_the_page_says_why() -> None:
    at = opened(P8, P16)
    assert len(options_of(at)) == 6
    assert {option.rpartition(" (")[2] for option in options_of(at)} == {"0..1)", "px)"}
    assert not any("bits" in option or "effective" in option for option in options_of(at))
    assert told_why(at)
    at = opened(*SAME)
    assert any("CLS entropy (bits)" in option for option in options_of(at))
    assert len(options_of(at)) > 20
    assert not told_why(at)


def test_a_statistic_that_does_not_compare_is_replaced_by_one_that_does_also_in_the_export_and_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported: list[str] = []
    monkeypatch.setattr(export, "button", lambda *_, choice, **__: exported.append(choice.statistic))
    at = opened(*SAME, statistic="cls_entropy_bits")
    assert at.selectbox(key=keys.STATISTIC).value == "cls_entropy_bits"
    at = opened(P8, P16, statistic="cls_entropy_bits")
    assert at.selectbox(key=keys.STATISTIC).value == "cls_entropy_normalised"
    assert "statistic" not in at.query_params
    assert exported == ["cls_entropy_bits", "cls_entropy_normalised"]
    assert told_why(at)


@pytest.mark.parametrize("kind", ["box", "violin"])
def test_the_distribution_has_every_head_of_every_model_once(kind: str) -> None:
    at = opened(*MIXED, chart=kind)
    drawn = decode_figure(at, keys.DISTRIBUTION)
    names = {"A · Demo ViT /8": "demo_vit_p8", "B, C · Demo ViT /16": "demo_vit_p16"}
    assert drawn.keys() - {"layout"} == names.keys()
    for name, model in names.items():
        assert drawn[name]["type"] == kind
        np.testing.assert_array_equal(drawn[name]["x"], np.repeat(np.arange(6), 4))
        np.testing.assert_allclose(
            drawn[name]["y"], statistic_of(model, None, "cls_entropy_normalised"), rtol=1e-4, atol=1e-6
        )


def test_under_each_pane_stand_its_entropy_and_how_it_differs() -> None:
    texts = [caption.value for caption in opened(*MIXED).caption if caption.value.startswith("entropy ")]
    shares = []
    for pane, text in zip(MIXED, texts, strict=True):
        values = engine_map(pane).astype(float).ravel()
        p = values / values.sum()
        bits = -(p * np.log2(p)).sum()
        shares.append(bits / np.log2(p.size))
        assert f"entropy {bits:.1f} bits · {shares[-1]:.0%} of even" in text
    assert "Δ" not in texts[0]
    for text, share in zip(texts[1:], shares[1:], strict=True):
        assert f"Δ {100 * (share - shares[0]):+.0f} points".replace("-", "−") in text


def test_random_weights_are_said() -> None:
    texts = [caption.value for caption in opened(*SAME).caption if caption.value.startswith("entropy ")]
    assert ["random weights" in text for text in texts] == [False, True]
