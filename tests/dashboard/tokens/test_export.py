"""Files of the page Tokens hold what it shows, and are made once they are asked for."""

import io

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from dashboard import keys
from dashboard.services import catalogue, pictures
from dashboard.services.pictures import Picture
from dashboard.services.tokens import TokenAnalysis, TokenRequest
from dashboard.tokens import export
from dashboard.tokens.export import Shown
from dashboard.tokens.maps import Query, maps
from dashboard.tokens.state import TokensView
from tests.dashboard.support import ignore
from tests.dashboard.tokens.fixtures_tokens import open_small_tokens


def analysed(picture: str, facet: str, *, size: int = 96) -> tuple[Picture, TokenAnalysis]:
    sample = pictures.sample_picture(picture)
    return sample, TokenRequest(sample, catalogue.models()["demo_vit_p16"], size, facet).analyse(ignore)


def shown(
    *parts: tuple[Picture, TokenAnalysis], query: tuple[int, int] | None = None, asked: int = 0, **view: str
) -> Shown:
    chosen = TokensView(facet=parts[0][1].features.facet, **view)
    drawn = maps([analysis for _, analysis in parts], chosen, layer=2, query=Query(query, asked), colours="magma")
    return Shown(parts, drawn, chosen, 2, query, asked)


def loaded(view: Shown) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(view.file("npz")), allow_pickle=False) as file:
        return dict(file)


def test_arrays_hold_the_features_in_use_and_the_components_of_them() -> None:
    part = analysed("scene_1", "key")
    found, features = loaded(shown(part, head="1", foreground="high")), part[1].features
    expected = ve.pca_map(features, layer=2, head=1, foreground="high")
    assert found["layer_2"].dtype == np.float16
    np.testing.assert_array_equal(found["layer_2"], features.layers[2])
    assert "layer_3" not in found
    np.testing.assert_array_equal(found["pca_components"], expected.components)
    np.testing.assert_array_equal(found["pca_rgb"], expected.rgb)
    np.testing.assert_array_equal(found["pca_foreground"], expected.foreground)
    np.testing.assert_allclose(found["pca_explained"], expected.explained)
    assert found["grid"].tolist() == [features.grid.prefix, 6, 8, 16]
    assert (str(found["facet"]), int(found["layer"]), int(found["head"])) == ("key", 2, 1)


def test_arrays_hold_the_similarity_to_the_query() -> None:
    part = analysed("scene_1", "token")
    found = loaded(shown(part, view="similarity", query=(2, 5)))
    expected = ve.similarity_map(part[1].features, (2, 5), layer=2)
    np.testing.assert_array_equal(found["similarity"], expected.values)
    assert found["query"].tolist() == [2, 5]
    assert str(found["label"]) == expected.label
    assert "head" not in found


def test_arrays_of_two_pictures_are_told_apart() -> None:
    parts = analysed("scene_1", "token"), analysed("scene_2", "token", size=128)
    found = loaded(shown(*parts, view="norms"))
    for prefix, (_, analysis) in zip(("", "second_"), parts, strict=True):
        norms = ve.token_norms(analysis.features, layer=2)
        np.testing.assert_array_equal(found[f"{prefix}norms"], norms.values)
        np.testing.assert_array_equal(found[f"{prefix}norms_prefix"], norms.prefix)


def test_a_query_of_the_second_picture_is_among_its_arrays_and_its_sheet_has_both() -> None:
    parts = analysed("scene_1", "token"), analysed("scene_2", "token", size=128)
    view = shown(*parts, view="similarity", query=(3, 1), asked=1)
    found = loaded(view)
    asked, other = parts[1][1].features, parts[0][1].features
    np.testing.assert_allclose(found["similarity"], ve.similarity_map(asked, (3, 1), other, layer=2).values, atol=1e-6)
    np.testing.assert_allclose(found["second_similarity"], ve.similarity_map(asked, (3, 1), layer=2).values, atol=1e-6)
    assert found["second_query"].tolist() == [3, 1]
    assert "query" not in found
    text = view.file("svg").decode()
    assert all(title in text for title in ("Scene 1", "Scene 2"))


@pytest.mark.parametrize("view", ["pca", "similarity", "norms"])
def test_sheets_are_pictures_of_every_view_with_its_words(view: str) -> None:
    drawn = shown(analysed("scene_1", "token"), view=view, query=(2, 5))
    assert Image.open(io.BytesIO(drawn.file("png"))).size[0] > 600
    assert drawn.file("svg").startswith(b"<?xml")
    lines = " ".join(drawn._sheet().lines())
    assert {"pca": "of the variance", "similarity": "to patch row 2, col 5", "norms": "median"}[view] in lines


def test_a_sheet_names_the_picture_and_whose_it_is() -> None:
    (picture,) = shown(analysed("coffee", "token"))._sheet().pictures
    assert picture.name == "Coffee (Rachel Michetti, CC0)"


def test_a_sheet_has_the_scale_of_the_page_and_the_part_that_is_shown() -> None:
    part = analysed("scene_1", "token")
    view = TokensView(view="similarity", zoom=(0.0, 0.25, 0.5, 0.75))
    drawn = maps([part[1]], view, layer=2, query=Query(None), colours="magma")
    sheet = Shown([part], drawn, view, 2, None)._sheet()
    assert (sheet.low, sheet.high, sheet.colours) == (drawn.layers[0].low, drawn.layers[0].high, "magma")
    assert sheet.pictures[0].zoom == (0, 32, 48, 96)


def test_nothing_is_made_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.Shown, "file", lambda *_: pytest.fail("made"))
    at = open_small_tokens(facet="key", token_head="1", token_layer="2")
    assert not at.exception
    assert at.get_by_key(keys.DOWNLOAD_TOKENS).proto.label == "NPZ"
    assert at.get_by_key(keys.DOWNLOAD_TOKENS_PNG).proto.label == "PNG"
    assert at.get_by_key(keys.DOWNLOAD_TOKENS_SVG).proto.label == "SVG"


def test_files_are_named_for_what_they_show() -> None:
    assert shown(analysed("scene_1", "key"), head="1").name == "pca-keys-layer-2-head-1-demo_vit_p16"
