"""Texts of strangers are shown as they are, and names keep their own case."""

import pytest
from streamlit.delta_generator import DeltaGenerator

from dashboard.shell.formatting import capitalised, format_elapsed, format_share, plain, progress_in, sentence


@pytest.mark.parametrize(
    ("text", "names", "shown"),
    [
        ("there is no checkpoint.", (), "There is no checkpoint."),
        ("too large here: 3 GB", (), "Too large here: 3 GB"),
        ("attention: layer 3 of 12", (), "Attention: layer 3 of 12"),
        ("mine.pth is an HTML page.", (), "mine.pth is an HTML page."),
        ("'mine.pth' has 11 B.", (), "'mine.pth' has 11 B."),
        ("run1 has changed.", (), "run1 has changed."),
        ("vit has changed.", ("vit",), "vit has changed."),
        ("mine takes 4 GB.", ("", "mine"), "mine takes 4 GB."),
        ("my model takes 4 GB.", ("other", "my model"), "my model takes 4 GB."),
        ("мой файл", ("мой файл",), "мой файл"),
        ("vit has changed.", ("other", ""), "Vit has changed."),
        ("", (), ""),
        (" mine", (), " mine"),
    ],
)
def test_a_sentence_begins_with_a_capital_but_a_name_does_not(text: str, names: tuple[str, ...], shown: str) -> None:
    assert capitalised(text, names) == shown
    assert sentence(text, names).replace("\\", "") == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.0214, "21 ms"), (0.0999, "100 ms"), (0.1, "0.1 s"), (3.46, "3.5 s")])
def test_a_short_duration_is_not_rounded_to_nothing(seconds: float, shown: str) -> None:
    assert format_elapsed(seconds) == shown


def test_progress_begins_with_a_capital_but_a_name_does_not() -> None:
    class Place(DeltaGenerator):
        def __init__(self) -> None:
            self.texts: list[str] = []

        def progress(self, *_: object, text: str = "", **__: object) -> None:  # type: ignore[override]
            self.texts.append(text)

    place = Place()
    progress_in(place)(0.5, "reading mine.pth")
    progress_in(place)(0.5, "mine.pth: half of it")
    progress_in(place)(0.5, "reading ![x](y).pth")
    assert place.texts == ["Reading mine.pth", "mine.pth\\: half of it", "Reading \\!\\[x\\](y).pth"]


@pytest.mark.parametrize("text", ["a\udcffb", "\ud800"])
def test_what_is_no_unicode_is_spelt_out(text: str) -> None:
    assert plain(text).encode().decode().startswith(("a\\\\udcff", "\\\\ud800"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://evil.example/x", "https\\:\u2060//evil.example/x"),
        ("HTTP://evil.example", "HTTP\\:\u2060//evil.example"),
        ("www.evil.example.pth", "www\u2060.evil.example.pth"),
        ("me@evil.example.pth", "me@\u2060evil.example.pth"),
        ("vit@6", "vit@6"),
        ("file:run/x.pth", "file\\:run/x.pth"),
    ],
)
def test_addresses_are_no_links(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_an_address_from_which_weights_are_downloaded_can_be_followed_and_copied() -> None:
    text = "could not download https://host.example/w.pth: gone"
    shown = sentence(text, links=True)
    assert shown.replace("\\", "") == "Could not download https://host.example/w.pth: gone"
    assert sentence(text) != shown


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100"), (0.414, "41"), (0.0995, "10"), (0.0994, "9.9"), (0.004, "0.4"), (0.000231, "0.023"), (0.0, "0")],
)
def test_a_share_has_two_digits_that_count_and_stays_in_one_piece(share: float, text: str) -> None:
    assert format_share(share) == f"{text}\u00a0%"
