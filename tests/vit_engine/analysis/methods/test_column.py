"""Column attention is a column of the explicit matrix, over the patches' queries, and takes linear memory."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vit_engine.trace_builders import made_trace
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.run import Run
from vit_engine.grid import Query, TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model.streaming import explicit_weights
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, attend
from vit_engine.trace.record import LayerTrace
from vit_engine.weights import LoadedModel

METHOD = find_method("column")
TOKENS = {"cls": 0, (0, 0): 3, (4, 6): 37, (2, 3): 20}  # of 5×7 patches, after CLS and two registers


def matrix(trace: AttentionTrace, layer: int) -> np.ndarray:
    """All weights of a layer, from float64: (heads, tokens, tokens)."""
    kept = trace.layers[layer]
    return explicit_weights(kept.queries.double(), kept.keys.double(), scale=kept.scale).numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("query", TOKENS)
@pytest.mark.parametrize("layer", [0, 1])
def test_it_is_a_column_of_the_explicit_matrix(
    small: LoadedModel, prepared: PreparedImage, query: Query, layer: int, dtype: torch.dtype
) -> None:
    loaded = replace(small, model=copy.deepcopy(small.model).to(dtype))
    trace = attend(loaded, prepared)
    expected = matrix(trace, layer)[:, 3:, TOKENS[query]].reshape(3, 5, 7)
    found = METHOD.attribute(trace, layer=layer, head=2, query=query)
    np.testing.assert_allclose(found.heads, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.map.values, expected[2], rtol=1e-5, atol=1e-9)
    shares = METHOD.distributions(trace, layer=layer, query=query)
    np.testing.assert_allclose(shares, (expected / expected.sum(axis=(1, 2), keepdims=True)).reshape(3, 35), rtol=1e-5)


def test_it_says_that_the_chosen_token_is_a_key(small: LoadedModel, prepared: PreparedImage) -> None:
    trace = attend(small, prepared)
    found = METHOD.attribute(trace, head="max", query=(2, 3)).map
    assert (found.label, found.unit) == (
        "column attention · layer 1 · head max · key patch row 2, col 3",
        "attention weight",
    )
    assert METHOD.attribute(trace, layer=0, query="cls").map.label == "column attention · layer 0 · head mean · key CLS"


def test_a_key_that_hardly_anybody_looks_at_still_has_shares() -> None:
    grid = TokenGrid(prefix=2, rows=2, cols=3, patch_size=4)
    scores = torch.zeros(1, 8, 8, dtype=torch.float64)
    scores[0, 2:, 0] = 2000.0  # everybody looks at CLS
    scores[0, 2:, 5] = torch.tensor([0.0, 3, 0, 0, 0, 0], dtype=torch.float64).log1p()
    layer = LayerTrace(scores, torch.eye(8, dtype=torch.float64)[None], scores.logsumexp(dim=-1), 1.0)
    trace = replace(made_trace({0: np.ones((1, 8))}, grid=grid), layers={0: layer})
    assert not METHOD.attribute(trace, query=(1, 0)).heads.any()  # e^-2000
    shares = METHOD.distributions(Run(trace), layer=0, query=(1, 0))
    np.testing.assert_allclose(shares, np.array([[1, 4, 1, 1, 1, 1]]) / 9, rtol=1e-12)


def test_no_weight_is_over_one_where_the_log_normaliser_is_rounded() -> None:
    grid = TokenGrid(prefix=1, rows=1, cols=2, patch_size=4)
    scores = torch.zeros(1, 3, 3, dtype=torch.float64)
    scores[0, 1:, 2] = 123456.789
    rounded = scores.logsumexp(dim=-1).float() - 0.01
    layer = LayerTrace(scores, torch.eye(3, dtype=torch.float64)[None], rounded, 1.0)
    trace = replace(made_trace({0: np.ones((1, 3))}, grid=grid), layers={0: layer})
    assert METHOD.attribute(trace, query=(0, 1)).heads.tolist() == [[[1.0, 1.0]]]


def test_it_takes_linear_memory() -> None:
    """Of 447×449 patches the matrix would have 4·10¹⁰ entries."""
    grid = TokenGrid(prefix=1, rows=447, cols=449, patch_size=1)
    spec = ModelSpec("large", "Large", "test", 1, 2, 1, 1, native_size=(447, 449))
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(2, 1, grid.tokens, 2, generator=generator)
    layer = LayerTrace(queries, keys, torch.full((1, grid.tokens), 12.0), 0.5)
    trace = AttentionTrace(spec, grid, "0" * 64, {0: layer}, None, (), 0.0)
    found = METHOD.attribute(trace, query=(446, 448)).map.values
    expected = np.exp(0.5 * float(queries[0, 7].double() @ keys[0, -1].double()) - 12)
    assert found.ravel()[6] == pytest.approx(expected, rel=1e-6)
