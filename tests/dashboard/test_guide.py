"""The page Guide can be read."""

from dashboard.testing import open_app


def test_each_term_has_a_paragraph_of_its_own() -> None:
    at = open_app().switch_page("views/guide.py").run()
    assert not at.exception
    text = next(each.value for each in at.main.markdown if "**Query.**" in each.value)
    assert [paragraph for paragraph in text.split("\n\n") if "\n**" in paragraph] == []
    for term in ("What a map is worth", "Insertion and deletion", "Pointing"):
        assert f"\n\n**{term}.** " in text
