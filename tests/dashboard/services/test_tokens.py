"""Tokens are kept whatever their size, and the store counts all that an analysis keeps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vit_engine as ve
from dashboard.services import catalogue, limits, pictures
from dashboard.services.checkpoints import folder, user_models
from dashboard.services.tokens import TokenAnalysis, TokenRequest
from tests.dashboard.checkpoints import HEADS, state_dict
from tests.dashboard.support import ignore
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.analysis.tokens.pca import Axes, PcaMap, layer_axes


def with_large_tokens(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model from a file whose tokens end above float16's 65,504, and far below float32's limit."""
    monkeypatch.setenv(folder.VARIABLE, str(root))
    state = state_dict()
    state["blocks.1.mlp.fc2.bias"] = torch.full_like(state["blocks.1.mlp.fc2.bias"], 1e6)
    torch.save(state, root / "large.pth")
    return user_models.add(f"file:large.pth@{HEADS}", ignore).name


def request(model: str, *, picture: str = "scene_1", facet: str = "token") -> TokenRequest:
    return TokenRequest(pictures.sample_picture(picture), catalogue.models()[model], 96, facet)


@pytest.mark.usefixtures("fresh_caches")
def test_tokens_too_large_for_float16_are_kept_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(with_large_tokens(tmp_path, monkeypatch))
    features = asked.analyse(ignore).features
    assert {values.dtype for values in features.layers.values()} == {np.dtype(np.float32)}
    assert np.abs(features.layers[1]).max() > np.finfo(np.float16).max
    assert asked.kept is not None


@pytest.mark.usefixtures("fresh_caches")
def test_where_float32_is_more_than_is_kept_it_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(with_large_tokens(tmp_path, monkeypatch))
    monkeypatch.setattr(limits, "FEATURE_BYTES", asked.estimate.kept_bytes)  # in float16
    with pytest.raises(ve.ResourceError, match=r"in float32 their .* kept here\. Choose a smaller short side"):
        asked.analyse(ignore)


def test_the_store_counts_what_is_computed_later_and_the_pixels() -> None:
    analysis: TokenAnalysis = request("demo_vit_p16", picture="scene_2", facet="key").analyse(ignore)
    counted, features = analysis.nbytes, analysis.features
    for head in (None, *range(features.spec.heads)):
        layers_pca(features, tuple(features.layers), head=head)
        for layer in features.layers:
            layer_axes(features, layer, head)
    kept = features.nbytes + analysis.pixels.nbytes + sum(map(bytes_of, features.computed.values()))
    assert kept <= counted < 1.2 * kept


def bytes_of(value: Any) -> int:
    """Of all arrays in it."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(bytes_of, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(bytes_of, value))
    return bytes_of(vars(value)) if isinstance(value, Axes | PcaMap) else 0
