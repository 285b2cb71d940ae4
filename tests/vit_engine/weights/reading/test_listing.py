"""No list of names makes a message long."""

from pathlib import Path

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import inspect_checkpoint, load_model
from vit_engine.weights.reading.listing import listed, naming_file, quoted, represent, shorten


def test_lists_are_cut() -> None:
    assert listed([]) == "nothing"
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcdefghi") == "a, b, c, d, e, f, g, h…"
    assert quoted([]) == "none"
    assert quoted(["a", "b"]) == "['a', 'b']"
    assert quoted(list("abcd"), 2) == "['a', 'b'] and 2 more"
    assert shorten("x" * 101) == "x" * 99 + "…"
    assert shorten("x" * 100) == "x" * 100
    assert shorten((1, 2)) == "(1, 2)"


def test_no_more_of_a_value_is_looked_at_than_is_shown() -> None:
    text = "a" * 1_000_000
    assert represent((text,) * 1_000_000) == "('" + "a" * 97 + "…"
    assert shorten((text,) * 1_000_000) == represent((text,) * 1_000_000)
    assert represent("it's") == '"it\'s"'
    assert represent([1.5, True, None, 2j, b"a"]) == "[1.5, True, None, 2j, b'a']"
    assert represent(text.encode(), 5) == "b'aa…"
    assert represent(torch.zeros(1).expand(1 << 40)) == "Tensor"


@pytest.mark.parametrize("words", ["", "w.pth: "])
def test_a_message_is_cut_whether_or_not_it_names_the_file(words: str) -> None:
    with pytest.raises(CheckpointError) as caught, naming_file(Path("w.pth")):
        raise CheckpointError(words + "x" * 4_000_000)
    assert str(caught.value).startswith("w.pth: xxx")
    assert len(str(caught.value)) <= 7007


MANY = {f"{'y' * 100}.{each}": torch.ones(1) for each in range(5000)}


@pytest.mark.parametrize(
    "content",
    [
        vit_state() | MANY,  # unexpected
        {name: tensor for name, tensor in vit_state(depth=200).items() if "norm1" not in name},  # missing
        MANY,  # of no format
        {"model": vit_state(), **{f"{'k' * 90}{each}": vit_state(depth=1) for each in range(60)}},  # equally likely
        {f"{'k' * 5000}{each}": each for each in range(5000)},  # no tensors at all
        {f"blocks.{each}.attn.qkv.lora_A": torch.ones(2, 2) for each in range(3000)},
        {f"{'m' * 300}{each}": torch.ones(2, device="meta") for each in range(1000)},
        vit_state() | {name: tensor * torch.nan for name, tensor in vit_state(depth=100).items() if "norm1" in name},
    ],
    ids=["unexpected", "missing", "foreign", "parts", "junk", "adapters", "meta", "nan"],
)
def test_messages_of_any_checkpoint_are_short(tmp_path: Path, content: dict[str, object]) -> None:
    path = saved(tmp_path / "w.pth", content)
    try:
        load_model(path, heads=3, device="cpu")
    except CheckpointError as error:
        assert len(str(error)) < 8000  # noqa: PT017
        assert "w.pth" in str(error)  # noqa: PT017
    else:
        assert len(content) == 61, "it was loaded"


def test_a_report_counts_what_it_does_not_list(tmp_path: Path) -> None:
    content = {"model": vit_state(), **{f"log{each}": each for each in range(5000)}}
    report = inspect_checkpoint(saved(tmp_path / "w.pth", content), heads=3).report
    assert len(report.dropped) == 101
    assert report.dropped[0] == ("log0: 0", "of the training run, not of the model")
    assert report.dropped[-1] == ("4,900 more entries", "of the training run, not of the model")


def test_a_report_has_every_tensor_of_a_large_model(tmp_path: Path) -> None:
    heads = {f"head.mlp.{each}.weight": torch.ones(1) for each in range(3000)}
    state = vit_state(depth=100)
    report = inspect_checkpoint(saved(tmp_path / "w.pth", {"model": state | heads, "epoch": 3}), heads=3).report
    assert len(report.matched) + len(report.dropped) == len(state) + 3000 + 1
