"""The ledger of a conversion: every tensor of a file ends up somewhere, and the ledger says where."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion


def numbered(*names: str) -> dict[str, Tensor]:
    """Tensors (2, 3), each full of its place."""
    return {name: torch.full((2, 3), float(place)) for place, name in enumerate(names)}


def values(conversion: Conversion) -> dict[str, float]:
    return {name: tensor.flatten()[0].item() for name, tensor in conversion.tensors.items()}


def test_what_is_not_touched_is_matched() -> None:
    conversion = Conversion(numbered("a", "b"))
    assert conversion.matched == ("a", "b")
    assert conversion.converted == ()
    assert conversion.dropped == []


def test_rules_rename_whole_names_and_the_first_that_matches_counts() -> None:
    conversion = Conversion(numbered("layer.3.ln", "layer.3.ln.bias", "ln"))
    conversion.rename(((r"layer\.(\d+)\.ln", r"blocks.\1.norm"), (r"layer\.(\d+)\.(.*)", r"rest.\1.\2"), (r"l", "x")))
    assert values(conversion) == {"blocks.3.norm": 0, "rest.3.ln.bias": 1, "ln": 2}
    assert conversion.matched == ("ln",)
    assert set(conversion.converted) == {("layer.3.ln", "blocks.3.norm"), ("layer.3.ln.bias", "rest.3.ln.bias")}


def test_prefixes_are_taken_from_the_start_alone_each_once_in_order() -> None:
    conversion = Conversion(numbered("module.backbone.a", "module.module.b", "x.module.c", "backbone.module.d"))
    conversion.strip("module.", "backbone.")
    assert values(conversion) == {"a": 0, "module.b": 1, "x.module.c": 2, "module.d": 3}


def test_names_may_be_exchanged_by_rules() -> None:
    conversion = Conversion(numbered("a", "b"))
    conversion.rename((("a", "c"), ("b", "d")))
    conversion.rename((("c", "b"), ("d", "a")))
    assert values(conversion) == {"b": 0, "a": 1}


def test_what_is_dropped_is_named_as_in_the_file_with_the_reason() -> None:
    conversion = Conversion(numbered("module.head.0", "module.body", "ahead.0"))
    conversion.strip("module.")
    conversion.drop(r"head\..*", "not needed")
    assert conversion.dropped == [("module.head.0", "not needed")]
    assert values(conversion) == {"ahead.0": 2, "body": 1}


def test_joined_tensors_keep_their_order_and_all_their_origins() -> None:
    conversion = Conversion(numbered("q", "k", "v", "rest"))
    conversion.rename((("q", "query"),))
    conversion.join(["query", "k", "v"], "qkv")
    assert conversion["qkv"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert set(conversion.converted) == {("q", "qkv"), ("k", "qkv"), ("v", "qkv")}
    assert conversion.matched == ("rest",)


def test_a_tensor_that_is_changed_in_place_is_converted_not_matched() -> None:
    conversion = Conversion(numbered("zero", "one"))
    conversion.combine(["one"], "one", lambda tensor: 10 * tensor)
    assert values(conversion) == {"zero": 0, "one": 10}
    assert conversion.matched == ("zero",)
    assert conversion.converted == (("one", "one"),)
    conversion.rename((("one", "two"),))
    conversion.rename((("two", "one"),))
    assert conversion.converted == (("one", "one"),)


def test_what_the_format_adds_is_neither_matched_nor_converted() -> None:
    conversion = Conversion(numbered("a"))
    conversion.set("bias", torch.zeros(3))
    assert conversion["bias"].tolist() == [0, 0, 0]
    assert (conversion.matched, conversion.converted) == (("a",), ())


@pytest.mark.parametrize(
    "bring",
    [
        lambda conversion: conversion.rename((("old", "new"),)),
        lambda conversion: conversion.join(["old"], "new"),
        lambda conversion: conversion.set("new", torch.zeros(1)),
    ],
)
def test_two_tensors_of_one_name_are_refused_with_their_keys(bring: Callable[[Conversion], None]) -> None:
    with pytest.raises(CheckpointError, match=r"two tensors of the file are 'new' here: .*new"):
        bring(Conversion(numbered("old", "new")))


def test_what_is_missing_or_does_not_fit_together_is_refused_by_name() -> None:
    conversion = Conversion({"a": torch.zeros(2, 3), "b": torch.zeros(2, 4)})
    with pytest.raises(CheckpointError, match=r"'c' is missing; there are a, b"):
        conversion.join(["a", "c"], "d")
    with pytest.raises(CheckpointError, match=r"'d' cannot be made of a \(2, 3\), b \(2, 4\)"):
        conversion.join(["a", "b"], "d")
    assert set(conversion.tensors) == {"a", "b"}, "nothing is lost"


def test_layers_are_counted_as_they_are_called() -> None:
    conversion = Conversion(numbered("blocks.0.x", "blocks.11.x", "blocks.2.x", "blocks.2.y", "other.5.x"))
    assert list(conversion.layers()) == [0, 2, 11]


def test_a_tensor_may_become_several_and_be_a_part_of_another() -> None:
    conversion = Conversion({"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[3.0, 4.0]]), "c": torch.zeros(1)})
    parts = [
        (("a",), "turned", lambda tensor: tensor.T),
        (("a",), "b", None),
        (("b", "a"), "both", lambda *rows: torch.cat(rows)),
    ]
    conversion.replace(parts)
    assert {name: tensor.tolist() for name, tensor in conversion.tensors.items()} == {
        "c": [0.0],
        "turned": [[1.0], [2.0]],
        "b": [[1.0, 2.0]],
        "both": [[3.0, 4.0], [1.0, 2.0]],
    }
    assert conversion.origins("both") == ("b", "a")
    assert conversion.matched == ("c",)
    assert set(conversion.converted) == {("a", "turned"), ("a", "b"), ("b", "both"), ("a", "both")}
