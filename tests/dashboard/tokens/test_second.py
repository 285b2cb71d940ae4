"""The second picture: a sample or an upload, at its own size; links to it; and what goes wrong with it."""

import hashlib

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import limits
from dashboard.tokens import pair
from tests.dashboard.support import SMALL, noise_png
from tests.dashboard.tokens.fixtures_pair import FIRST, OTHER, as_pairs, engine_matches, open_pair, pair_figure, pairs
from tests.dashboard.tokens.fixtures_tokens import assert_says, components, engine_features, keys_of, open_small_tokens
from tests.vit_engine.analysis.tokens.scenes import FIRST as BOX_IN_FIRST
from tests.vit_engine.analysis.tokens.scenes import SECOND as BOX_IN_SECOND
from tests.vit_engine.analysis.tokens.scenes import inside, same_object_twice
from vit_engine.image import as_png


def upload(at: AppTest, data: bytes, name: str = "mine.png", *, source: str, to: str) -> AppTest:
    if at.segmented_control(key=source).value != "upload":
        at.segmented_control(key=source).set_value("upload").run()
    return at.file_uploader(key=to).set_value((name, data, "image/png")).run()


def upload_first(at: AppTest, data: bytes) -> AppTest:
    return upload(at, data, source=keys.SOURCE, to=keys.UPLOAD)


def upload_second(at: AppTest, data: bytes, name: str = "mine.png") -> AppTest:
    return upload(at, data, name, source=keys.SECOND_SOURCE, to=keys.SECOND_UPLOAD)


def test_a_sample_is_chosen_and_the_first_one_offered_is_another_picture() -> None:
    at = open_small_tokens(picture="coffee")
    at.segmented_control(key=keys.SECOND_SOURCE).set_value("samples").run()
    assert at.selectbox(key=keys.SECOND_SAMPLE).value == at.query_params["with"] == "rocket"
    at.selectbox(key=keys.SECOND_SAMPLE).set_value("cat").run()
    assert at.query_params["with"] == "cat"
    assert_says(at, "right: Cat, ")
    at.segmented_control(key=keys.SECOND_SOURCE).set_value("none").run()
    assert "with" not in at.query_params
    assert keys.TOKEN_PAIR not in keys_of(at)


@pytest.mark.parametrize(
    ("first", "title", "other"), [(FIRST, "Motorcycle, right eye", OTHER), (OTHER, "Motorcycle", FIRST)]
)
def test_the_other_eye_is_one_click_away(first: str, title: str, other: str) -> None:
    at = open_small_tokens(picture=first)
    button = at.button(key=keys.COMPARE_PAIR)
    assert button.label == f"Compare with {title}"
    button.click().run()
    assert at.query_params["with"] == other
    assert keys.COMPARE_PAIR not in keys_of(at)
    assert len(pairs(at)) > 1
    assert keys.COMPARE_PAIR not in keys_of(open_small_tokens())  # of a picture without a pair


@pytest.mark.usefixtures("fresh_caches")
def test_the_same_object_is_found_in_two_uploads() -> None:
    first, second = (as_png(picture) for picture in same_object_twice(1))
    at = open_small_tokens(size="128", token_layer="3", matches="10", ratio="1")
    upload_second(upload_first(at, first), second)
    assert not at.exception
    drawn = np.array(sorted(pairs(at)))
    assert len(drawn) == 10
    assert inside(drawn[:, :2], BOX_IN_FIRST, 16).all()
    assert inside(drawn[:, 2:], BOX_IN_SECOND, 16).all()
    assert at.query_params["with"] == f"sha256:{hashlib.sha256(second).hexdigest()}"
    assert at.query_params["picture"] == f"sha256:{hashlib.sha256(first).hexdigest()}"
    again = open_small_tokens(**at.query_params)
    assert pairs(again) == pairs(at)
    assert not again.warning


@pytest.mark.usefixtures("fresh_caches")
def test_an_upload_can_be_removed_and_a_bad_file_changes_nothing() -> None:
    at = upload_second(open_small_tokens(), noise_png(91))
    assert_says(at, "right: mine.png, ")
    upload_second(at, b"no picture")
    (error,) = at.main.error
    assert error.value[:1].isupper()
    assert "picture" in error.value
    assert_says(at, "right: mine.png, ")
    at.file_uploader(key=keys.SECOND_UPLOAD).set_value(None).run()
    assert keys.TOKEN_PAIR not in keys_of(at)
    assert "with" not in at.query_params
    assert at.query_params["picture"] == SMALL["picture"]


@pytest.mark.usefixtures("fresh_caches")
def test_an_upload_that_came_by_a_link_has_a_button_that_removes_it() -> None:
    link = dict(upload_second(open_small_tokens(), noise_png(92)).query_params)
    at = open_small_tokens(**link)
    assert_says(at, "Showing Uploaded picture.")
    at.button(key=keys.REMOVE_SECOND).click().run()
    assert keys.TOKEN_PAIR not in keys_of(at)


def test_a_file_name_cannot_put_markup_on_the_page() -> None:
    at = upload_second(open_small_tokens(), noise_png(93), "![x](http://a.example/b.png).png")
    assert not any("![x](" in element.value for element in (*at.main.caption, *at.main.markdown))


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"with": "nobody"}, "the second picture 'nobody', which is not available here; using no second picture"),
        ({"with": f"sha256:{'0' * 64}"}, "no longer held here: upload it again. There is no second picture."),
        ({"with_size": "200"}, "the second picture's short side '200', which is not available here; using 192"),
        ({"matches": "33"}, "the number of matches '33', which is not available here; using 35"),
        ({"ratio": "0.1"}, "the ratio '0.1', which is not available here; using 0.6"),
        ({"asks": "here"}, "the query in the second picture 'here', which is not available here; using the CLS token"),
    ],
)
def test_a_stale_link_tells_what_replaced_it(link: dict[str, str], words: str) -> None:
    at = open_pair(**link)
    (notice,) = at.warning
    assert words in notice.value.replace("\\", "")
    assert not at.exception
    at.run()
    assert not at.warning


def test_a_second_picture_that_is_too_large_is_refused_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 100)
    at = open_pair(with_size="480")
    (error,) = at.main.error
    assert "patches are allowed here" in error.value
    alone = ve.pca_map(engine_features(picture=FIRST))
    np.testing.assert_allclose(components(at), alone.components, atol=0.02 * np.abs(alone.components).max())
    assert keys.TOKEN_PAIR not in keys_of(at)
    at.selectbox(key=keys.SECOND_SIZE).set_value(0).run()
    assert not at.main.error
    assert pairs(at) == as_pairs(engine_matches().best(30))


@pytest.mark.usefixtures("fresh_caches")
def test_a_long_and_narrow_second_picture_is_drawn() -> None:
    at = upload_second(open_small_tokens(), noise_png(94, height=16, width=90))
    assert not at.exception
    assert pair_figure(at)["second"]["customdata"].shape[:2] == (6, 33)


def test_another_page_keeps_the_second_picture() -> None:
    at = open_pair()
    before = at.get_by_key(keys.TOKEN_PAIR).proto.spec
    for page in ("views/heads.py", "views/tokens.py"):
        at.query_params.clear()  # as a browser does on the way to another page
        at.switch_page(page).run()
    assert at.get_by_key(keys.TOKEN_PAIR).proto.spec == before
    assert at.query_params["with"] == OTHER


def test_the_table_has_places_in_patches_and_in_pixels() -> None:
    matches = engine_matches()
    table = pair.table(matches)
    assert list(table.columns) == list(pair._COLUMNS)
    first = table.iloc[0]
    assert (first.first_row, first.first_col) == tuple(matches.first[0])
    assert (first.first_y_px, first.first_x_px) == matches.grids[0].centre(*matches.first[0])
    assert (first.second_y_px, first.second_x_px) == matches.grids[1].centre(*matches.second[0])
    np.testing.assert_array_equal(table.ratio, matches.ratio)
    np.testing.assert_array_equal(table.cosine_similarity, matches.similarity)
    assert table.ratio.is_monotonic_increasing
