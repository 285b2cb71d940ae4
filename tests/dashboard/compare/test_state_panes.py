"""Panes in a link: each is brought to what its model has, or left out with its reason."""

import pytest

from dashboard.compare.state import with_method
from tests.dashboard.compare.fixtures_state import read
from vit_engine.analysis.comparison import MAX_PANES, Pane


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("demo_vit_p8:6:mean", "demo_vit_p8:5:mean"),
        ("demo_vit_p8:11:mean", "demo_vit_p8:5:mean"),  # 11 is 5 and once around
        ("demo_vit_p8:-7:mean", "demo_vit_p8:0:mean"),
        ("demo_vit_p8:-12:mean", "demo_vit_p8:0:mean"),
        ("demo_vit_p8:2:4", "demo_vit_p8:2:3"),
        ("tall:99:99:raw:cls", "tall:12:2:raw:cls"),
        ("demo_vit_p8:3:2:relevance[start=6;target=3]", "demo_vit_p8:3:2:relevance[target=3]"),
        ("demo_vit_p8:3:2:relevance[start=2;target=12]", "demo_vit_p8:3:2:relevance[start=2]"),
        ("tall:3:2:relevance[target=0]", "tall:3:2:relevance"),
        ("demo_vit_p8:3:2:relevance[target=ing]", "demo_vit_p8:3:2:relevance"),  # several classes
    ],
)
def test_what_a_panes_own_model_does_not_have_is_brought_to_what_it_has(asked: str, used: str) -> None:
    chosen, (notice,) = read(pane=["tall:12:2", asked])
    assert list(map(str, chosen.panes)) == ["tall:12:2", used]
    assert f"{asked!r}" in notice
    assert notice.endswith(f"using {used}.")


def test_layers_from_the_last_and_panes_without_a_head_need_no_notice() -> None:
    chosen, notices = read(pane=["tall:-1", "demo_vit_p8:-6:max", "file:a:3:7.pth@1:0"])
    assert list(map(str, chosen.panes)) == ["tall:12:mean", "demo_vit_p8:0:max", "file:a:3:7.pth@1:0:mean"]
    assert notices == ()


def test_a_class_is_known_by_its_name_and_targets_of_other_kinds_are_kept() -> None:
    names = ("bing", "norm", "point%3A0.5,0.25", "picture%3Acat")
    link = [f"demo_vit_p8:3:2:relevance[target={name}]" for name in names]
    chosen, notices = read(pane=link)
    assert [pane.target for pane in chosen.panes] == ["1", "norm", "point:0.5000,0.2500", "picture:cat"]
    assert notices == ()


def test_another_method_keeps_the_options_and_the_target_that_it_has_too() -> None:
    pane = Pane.parse("demo_vit_p8:3:2:gradient_rollout[start=2;residual=0.25;target=7]:cls")
    written = {name: str(with_method(pane, name)) for name in ("relevance", "rollout", "grad_cam", "raw", "pca")}
    assert written == {
        "relevance": "demo_vit_p8:3:2:relevance[start=2;target=7]:cls",
        "rollout": "demo_vit_p8:3:2:rollout[start=2;residual=0.25]:cls",
        "grad_cam": "demo_vit_p8:3:2:grad_cam[target=7]:cls",
        "raw": "demo_vit_p8:3:2:raw:cls",
        "pca": "demo_vit_p8:3:2:pca:cls",
    }


def test_panes_that_cannot_be_are_left_out_each_with_its_reason_and_the_rest_is_kept() -> None:
    link = ["tall:1:0", "gone:2:mean", "nonsense", "tall:1:0:sideways", "demo_vit_p8:3:max", "tall:2:mean:raw:2,3"]
    chosen, notices = read(pane=link)
    assert list(map(str, chosen.panes)) == ["tall:1:0", "demo_vit_p8:3:max"]
    words = ("the model 'gone', which is not here", "'nonsense'", "no method is called 'sideways'", "(2.0, 3.0)")
    assert len(notices) == len(words)
    for notice, word in zip(notices, words, strict=True):
        assert word in notice
        assert "left out" in notice


@pytest.mark.parametrize(("letter", "number"), [("A", 0), ("C", 1), ("E", 2)])
def test_the_reference_is_the_links_own_letter_though_panes_before_it_are_left_out(letter: str, number: int) -> None:
    link = ["tall:1:0", "gone:2:mean", "demo_vit_p8:3:max", "gone:1:0", "tall:5:1"]
    chosen, notices = read(pane=link, reference=letter)
    assert chosen.reference == number
    assert len(notices) == 2


def test_a_reference_that_is_left_out_is_told() -> None:
    chosen, notices = read(pane=["gone:2:mean", "tall:1:0", "tall:2:0"], reference="A")
    assert chosen.reference == 0
    assert notices[-1] == "The link asks for reference 'A', which is not available here; using A."


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (["tall:3:1"], ["tall:3:1", "demo_vit_p8:5:mean"]),
        (["demo_vit_p8:5:mean"], ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]),
        (["demo_vit_p16:5"], ["demo_vit_p16:5:mean", "demo_vit_p8:5:mean"]),
        (["gone:3:1"], ["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]),
    ],
)
def test_too_few_panes_become_two_with_a_notice(link: list[str], shown: list[str]) -> None:
    chosen, notices = read(pane=link)
    assert list(map(str, chosen.panes)) == shown
    assert notices[-1] == "A comparison needs at least 2 panes: default panes were added."


def test_of_too_many_panes_the_first_are_shown_and_the_others_are_not_read() -> None:
    link = [f"tall:{layer}:mean" for layer in range(MAX_PANES)]
    assert read(pane=link)[1] == ()
    chosen, (notice,) = read(pane=[*link, *["nonsense"] * 500])
    assert list(map(str, chosen.panes)) == link
    assert notice == f"The link has {MAX_PANES + 500} panes; showing the first {MAX_PANES}."
