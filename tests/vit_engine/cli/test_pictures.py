"""Folders to pictures in natural order, and pictures to names that are theirs alone."""

import pytest

from vit_engine.cli.pictures import natural_key, picture_names


def test_numbers_in_names_count_by_their_value() -> None:
    names = ["img10.png", "IMG9.png", "img2.png", "img02b.png", "a.png", "img.png", "²img.png", "7.png", "10.png"]
    assert sorted(names, key=natural_key) == [
        "7.png",
        "10.png",
        "a.png",
        "img.png",
        "img2.png",
        "img02b.png",
        "IMG9.png",
        "img10.png",
        "²img.png",
    ]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/cat.png", "b/cat.png", "dog.png"], ["cat", "cat-2", "dog"]),
        (["cat.png", "cat-2.png", "cat.jpg"], ["cat", "cat-2", "cat-3"]),
        (["cat.png", "CAT.png"], ["cat", "CAT-2"]),
        (["norms.csv.png", "RUN.JSON.png"], ["norms.csv-2", "RUN.JSON-2"]),
        (["..", "a/...png", ".hidden.png", " .png"], ["picture", "picture-2", "hidden", "picture-3"]),
        (["new\nline.png", "tab\t.png"], ["new_line", "tab_"]),
    ],
)
def test_names_are_unique_and_stay_in_the_folder(paths: list[str], names: list[str]) -> None:
    assert picture_names(paths, reserved=("norms.csv", "run.json")) == names
