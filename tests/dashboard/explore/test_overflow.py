"""Finite weights that overflow, and weights that are no numbers: every page says so, and none draws empty maps."""

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services.checkpoints import folder, user_models
from dashboard.testing import open_compare, open_models
from tests.dashboard.checkpoints import HEADS, state_dict
from tests.dashboard.heads.fixtures_heads import open_heads
from tests.dashboard.support import SMALL, ignore, open_small
from tests.dashboard.tokens.fixtures_tokens import open_small_tokens

pytestmark = pytest.mark.usefixtures("fresh_caches")


def added(root: Path, monkeypatch: pytest.MonkeyPatch, factor: float) -> str:
    """A model from a file whose layer 1 has weights so many times as large, by its name."""
    monkeypatch.setenv(folder.VARIABLE, str(root))
    state = state_dict()
    state["blocks.1.attn.qkv.weight"] = state["blocks.1.attn.qkv.weight"] * factor
    assert state["blocks.1.attn.qkv.weight"].isfinite().all()
    torch.save(state, root / "huge.pth")
    return user_models.add(f"file:huge.pth@{HEADS}", ignore).name


def errors(at: AppTest) -> list[str]:
    assert not at.exception
    return [each.value.replace("\\", "") for each in at.main.error]


@pytest.mark.parametrize("factor", [1e25, 1e36])
def test_pages_of_one_model_name_the_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    name = added(tmp_path, monkeypatch, factor)
    for at in (open_small(model=name), open_heads(model=name), open_small_tokens(model=name)):
        (error,) = errors(at)
        assert f"activations of '{name}' overflow in layer 1: from there on they are too large for float32" in error
        assert "Its weights are damaged, or of a training run that has diverged" in error
        assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL


def test_on_heads_a_model_that_is_overlaid_says_it_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_heads(overlay=[added(tmp_path, monkeypatch, 1e25)])
    assert not errors(at)
    assert any("overflow in layer 1" in each.value for each in at.main.warning)


def test_a_pane_of_compare_says_it_and_the_other_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = added(tmp_path, monkeypatch, 1e25)
    at = open_compare(picture=SMALL["picture"], size=SMALL["size"], pane=[f"{name}:1:mean", "demo_vit_p16:5:mean"])
    assert not at.exception
    said = [each.value.replace("\\", "") for kind in (at.main.error, at.main.warning) for each in kind]
    assert any("overflow in layer 1" in each for each in said)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused_on_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    torch.save(state_dict() | {"norm.bias": torch.full((24,), value)}, tmp_path / "broken.pth")
    at = open_models(**SMALL)
    at.selectbox(key=keys.CHECKPOINT_FILE).set_value("broken.pth").run()
    (error,) = errors(at)
    assert "values that are NaN or infinite as float32 are in 1 of its" in error
    assert "norm.bias (24 of 24)" in error
