"""A model's name says the file, its part and its heads, whatever the file is called."""

import pytest

from dashboard.services.checkpoints.names import Name, parse, with_heads, with_part

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("file:run/x.pth", Name("file:", "run/x.pth")),
        ("file:run/x.pth@6", Name("file:", "run/x.pth", "", 6)),
        ("file:run/x.pth#student", Name("file:", "run/x.pth", "student")),
        ("file:run/x.pth#model.teacher@12", Name("file:", "run/x.pth", "model.teacher", 12)),
        ("file:a#b.pth", Name("file:", "a#b.pth")),
        ("file:a#b.pth#ema@3", Name("file:", "a#b.pth", "ema", 3)),
        ("file:a.pth#b.pth", Name("file:", "a.pth#b.pth")),
        ("file:a@6/b.pth", Name("file:", "a@6/b.pth")),
        ("file:runs#2/vit", Name("file:", "runs#2/vit")),
        ("file:vit#2", Name("file:", "vit#2")),
        ("upload:abc#student@6", Name("upload:", "abc", "student", 6)),
        ("upload:abc", Name("upload:", "abc")),
        (f"hf:a/b@{COMMIT}", Name("hf:", f"a/b@{COMMIT}")),
        (f"hf:a/b@{COMMIT}#student@6", Name("hf:", f"a/b@{COMMIT}", "student", 6)),
        ("hf:a/b@2024", Name("hf:", "a/b@2024")),
        ("hf:a/b#student", Name("hf:", "a/b", "student")),
    ],
)
def test_names_are_taken_apart_and_put_together(text: str, name: Name) -> None:
    assert parse(text) == name
    assert name.text == text


@pytest.mark.parametrize("text", ["demo_vit_p8", "", "file:", "upload:", "hf:", "a/b", "files:x.pth", "x.pth"])
def test_other_names_are_no_files(text: str) -> None:
    assert parse(text) is None


def test_heads_and_parts_take_the_place_of_those_that_were_there() -> None:
    assert with_heads("file:x.pth#student@6", 3) == "file:x.pth#student@3"
    assert with_heads("file:x.pth#student@6", None) == "file:x.pth#student"
    assert with_part("file:x.pth#student@6", "teacher") == "file:x.pth#teacher"
