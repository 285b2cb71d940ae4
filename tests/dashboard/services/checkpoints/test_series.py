"""Files whose names differ in a number are a run's checkpoints."""

import pytest

from dashboard.services.checkpoints.series import find_series, place, spread


def test_a_runs_checkpoints_are_one_series_in_the_order_of_their_numbers() -> None:
    names = ["run1/checkpoint0100.pth", "run1/checkpoint0020.pth", "run1/checkpoint9.pth", "last.pth"]
    (found,) = find_series(names)
    assert found.names == ("run1/checkpoint9.pth", "run1/checkpoint0020.pth", "run1/checkpoint0100.pth")
    assert found.numbers == (9, 20, 100)
    assert found.run == "run1"


def test_other_folders_other_words_and_other_endings_are_other_series() -> None:
    pairs = [
        "a/x_step1.pth",
        "a/x_step2.pth",
        "b/x_step1.pth",
        "b/x_step2.pth",
        "a/y001.pth",
        "a/y002.pth",
        "a/x_step1.pt",
        "a/x_step2.pt",
        "a/x_step3_ema.pth",
    ]
    assert sorted(found.pattern for found in find_series(pairs)) == [
        "a/x_step#.pt",
        "a/x_step#.pth",
        "a/y#.pth",
        "b/x_step#.pth",
    ]


@pytest.mark.parametrize(
    "names", [("hf_dinov2", "hf_dinov3"), ("vit_b_16.pth", "vit_b_32.pth"), ("a/x1.pt", "a/x2.pt")]
)
def test_short_numbers_after_other_words_count_no_steps(names: tuple[str, ...]) -> None:
    assert find_series(names) == ()


def test_one_alone_is_no_series() -> None:
    assert find_series(["run/checkpoint1.pth", "run/other.pth"]) == ()


@pytest.mark.parametrize(
    ("name", "run", "number"),
    [
        ("run1/checkpoint0040.pth", "run1", 40),
        ("run1/step_20.pth", "run1", 20),
        ("run1/student_0007.pth", "run1/student", 7),
        ("run2_step40.pth", "run2_step", 40),
        ("checkpoint3.pth", "checkpoint", 3),
        ("12.pth", "checkpoint", 12),
        ("out/checkpoint-500", "out", 500),
        ("out/epoch=7.ckpt", "out", 7),
    ],
)
def test_titles_say_the_run_and_the_number(name: str, run: str, number: int) -> None:
    found = place(name)
    assert found is not None
    assert (found.run, found.number, found.title) == (run, number, f"{run} · {number}")


def test_a_name_without_a_number_has_no_place() -> None:
    assert place("run/last.pth") is None


@pytest.mark.parametrize(
    ("count", "most", "chosen"), [(3, 5, (0, 1, 2)), (5, 5, (0, 1, 2, 3, 4)), (11, 3, (0, 5, 10)), (7, 2, (0, 6))]
)
def test_too_many_are_spread_evenly_from_the_first_to_the_last(count: int, most: int, chosen: tuple[int, ...]) -> None:
    assert spread(count, most) == chosen
