"""Value-weighted attention is the explicit matrix times how long each value is after the output projection."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vit_engine.analysis.methods.matrices import matrices, random_trace
from vit_engine.analysis.methods import find_method
from vit_engine.errors import SpecError
from vit_engine.grid import Query, TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel

METHOD = find_method("value_weighted")


def with_norms(trace: AttentionTrace, norms: torch.Tensor | None) -> AttentionTrace:
    return replace(trace, layers={number: replace(kept, value_norms=norms) for number, kept in trace.layers.items()})


@pytest.mark.parametrize("query", ["cls", (4, 6), (1, 2, 2, 4)], ids=str)
@pytest.mark.parametrize("layer", [0, 1])
def test_it_is_a_row_of_the_matrix_times_the_lengths_of_values(
    small: LoadedModel, prepared: PreparedImage, query: Query, layer: int
) -> None:
    """The lengths are computed here of the model's own values and projection."""
    trace = attend(small, prepared)
    x = small.model.embed(prepared.tensor[None])
    for block in list(small.model.blocks)[:layer]:
        x = block(x)
    block = small.model.blocks[layer]
    values = block.attn.queries_keys_values(block.norm1(x))[2][0].double()  # (heads, tokens, head_dim)
    projection = block.attn.proj.weight.double().unflatten(1, (3, -1))  # (dim, heads, head_dim)
    norms = torch.einsum("hnd,Dhd->hnD", values, projection).norm(dim=-1).detach().numpy()
    tokens = trace.grid.query_tokens(query)
    expected = (matrices(trace, layer)[:, tokens].mean(axis=1) * norms)[:, 3:]
    found = METHOD.attribute(trace, layer=layer, head=2, query=query)
    np.testing.assert_allclose(found.heads.reshape(3, 35), expected, rtol=1e-5)
    np.testing.assert_allclose(found.map.values.ravel(), expected[2], rtol=1e-5)
    shares = METHOD.distributions(trace, layer=layer, query=query)
    np.testing.assert_allclose(shares, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("prefix", range(6))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_of_prefix_tokens_and_large_scores(prefix: int, dtype: torch.dtype) -> None:
    trace = random_trace(TokenGrid(prefix, 4, 3, 8), spread=300, dtype=dtype)
    norms = trace.layers[2].value_norms
    assert norms is not None
    expected = (matrices(trace, 2)[:, prefix + 10] * norms.numpy())[:, prefix:].reshape(3, 4, 3)
    found = METHOD.attribute(trace, layer=2, query=(3, 1))
    np.testing.assert_allclose(found.heads, expected, rtol=1e-5, atol=1e-37)


def test_its_values_are_lengths(small: LoadedModel, prepared: PreparedImage) -> None:
    found = METHOD.attribute(attend(small, prepared), head="max", query=(2, 3)).map
    assert found.label == "value-weighted attention · layer 1 · head max · query patch row 2, col 3"
    assert found.unit == "length of the weighted value"


def test_shares_are_exact_where_maps_are_too_small_for_float32() -> None:
    norms = torch.tensor([9.0, 9, 1, 3, 1, 1, 2, 2], dtype=torch.float64).expand(3, 8) * 1e-200
    trace = with_norms(random_trace(TokenGrid(2, 2, 3, 4), spread=0, dtype=torch.float64), norms)
    assert not METHOD.attribute(trace).heads.any()
    np.testing.assert_allclose(METHOD.distributions(trace, layer=0), [[0.1, 0.3, 0.1, 0.1, 0.2, 0.2]] * 3, rtol=1e-5)


def test_values_of_zero_are_said_and_shared_evenly() -> None:
    trace = with_norms(random_trace(TokenGrid(1, 2, 3, 4)), torch.zeros(3, 7))
    assert METHOD.attribute(trace).note == METHOD.empty
    np.testing.assert_allclose(METHOD.distributions(trace, layer=0), np.full((3, 6), 1 / 6))


def test_a_trace_without_lengths_is_refused() -> None:
    trace = random_trace(TokenGrid(1, 2, 3, 4), values=False)
    for ask in (METHOD.attribute, METHOD.distributions):
        with pytest.raises(SpecError, match=re.escape("does not know how long its values are (value_norms)")):
            ask(trace, layer=0)
