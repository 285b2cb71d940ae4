"""What `features` cannot do is one line that says why; one picture that cannot be used does not end the others."""

import errno
from pathlib import Path

import pytest

from tests.vit_engine.cli.fixtures_features import TABLES, Run, Save, files_in, record_of
from vit_engine.cli import feature_files


def test_a_damaged_picture_does_not_end_the_others(save: Save, features_of: Run) -> None:
    paths = [save("a.png", 1), save("b.png", 2), save("c.png", 3)]
    paths[1].write_bytes(paths[1].read_bytes()[:2000])
    narrow = save("narrow.png", 4, (16, 400))
    code, out, error = features_of(*paths, narrow, "--size", 64)
    assert code == 1
    assert sorted(path.name for path in out.iterdir()) == ["a", "c", *TABLES]
    record = record_of(out)
    assert [picture["name"] for picture in record["pictures"]] == ["a", "c"]
    assert [failure["path"] for failure in record["failed"]] == [str(paths[1]), str(narrow)]
    damaged, long = error.splitlines()
    assert damaged.startswith(f"vit-engine: error: left out: {str(paths[1])!r} is damaged or cut off")
    assert long.startswith(f"vit-engine: error: left out: {narrow}: the picture is 400×16 px, more than 12 times")


def test_a_picture_that_fails_after_its_run_leaves_nothing(save: Save, features_of: Run) -> None:
    """A row of ten patches, and a single one: too few for three components, which is found once features are there."""
    code, out, error = features_of(save("long.png", 1, (20, 200)), save("tiny.png", 2, (20, 32)), "--size", 16)
    assert code == 1
    assert "tiny.png: 3 components need at least 4 patches" in error
    assert sorted(path.name for path in out.iterdir()) == ["long", *TABLES]


def test_pairs_need_both_pictures(save: Save, features_of: Run, tmp_path: Path) -> None:
    code, out, error = features_of(save("a.png"), tmp_path / "missing.png", "--size", 64, "--match")
    assert code == 1
    assert "missing.png' cannot be read" in error
    assert "pairs need both pictures: none were written." in error
    assert sorted(path.name for path in out.iterdir()) == ["a", *TABLES]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "12"], "layer must be in 0..5 for 'demo_vit_p16'; got 12."),
        (["--head", "1"], "tokens belong to no head; ask for a head of the facets 'query', 'key' or 'value'."),
        (["--facet", "value", "--head", "4"], "head must be in 0..3, or None for all; got 4."),
        (["--query", "4,0", "--size", "64"], "4"),
        (["--match"], "--match needs exactly two pictures; got 1."),
        (["--ratio", 0.5], "--ratio is of the pairs that --match writes: add --match, or leave it out."),
        (["--best", 5], "--best is of the pairs that --match writes: add --match, or leave it out."),
        (["--size", "8"], "at least one patch of 16 px"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    options: list[str], message: str, save: Save, features_of: Run
) -> None:
    code, out, error = features_of(save("noise.png"), *options)
    assert (code, out.exists()) == (1, False)
    assert error.startswith("vit-engine: error: ")
    assert error.count("\n") == 1
    assert message in error


def test_matches_of_three_pictures_are_refused(save: Save, features_of: Run) -> None:
    folder = save("a.png").parent
    save("b.png")
    save("c.png")
    code, out, error = features_of(folder, "--match")
    assert (code, out.exists()) == (1, False)
    assert error == "vit-engine: error: --match needs exactly two pictures; got 3.\n"


def test_a_folder_without_pictures_is_one_error(features_of: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    code, out, error = features_of(tmp_path / "empty")
    assert (code, out.exists()) == (1, False)
    assert error.startswith(f"vit-engine: error: the folder {str(tmp_path / 'empty')!r} holds no pictures; ")
    assert ".png" in error


def test_where_no_picture_can_be_used_nothing_is_written(features_of: Run, tmp_path: Path) -> None:
    code, out, error = features_of(tmp_path / "a.png", tmp_path / "b.png")
    assert (code, out.exists()) == (1, False)
    assert error.count("left out") == 2
    assert error.endswith("error: none of the 2 pictures could be used.\n")


@pytest.mark.parametrize(
    "options",
    ["--facet keys", "--head -1", "--ratio 1.5", "--best 0", "--foreground all", "--precision int8", "--query 3"],
)
def test_wrong_usage_is_exit_code_2(options: str, save: Save, features_of: Run) -> None:
    code, out, error = features_of(save("noise.png"), *options.split())
    assert (code, out.exists()) == (2, False)
    assert "usage: vit-engine features" in error


def test_a_disk_that_fills_up_leaves_what_was_there(
    save: Save, features_of: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = tmp_path / "out" / "noise" / "pca.png"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "pca.png")

    monkeypatch.setattr(feature_files, "_write_view", full)
    code, out, error = features_of(save("noise.png"), "--size", 48)
    assert (code, error) == (1, "vit-engine: error: pca.png: No space left on device.\n")
    assert files_in(out) == ["noise/pca.png"]
    assert earlier.read_text() == "earlier"
