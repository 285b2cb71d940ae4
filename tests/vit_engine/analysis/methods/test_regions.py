"""A region asks as the mean of its patches: of their rows as queries, of their columns as keys."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vit_engine.trace_builders import made_trace
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.run import Run
from vit_engine.analysis.similarity import head_similarity, jensen_shannon
from vit_engine.grid import Query, TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model.streaming import explicit_weights
from vit_engine.trace import AttentionTrace, attend, record
from vit_engine.trace.record import LayerTrace
from vit_engine.weights import LoadedModel

REGIONS = {(1, 2, 2, 4): [12, 13, 14, 19, 20, 21], (0, 0, 4, 6): [*range(3, 38)], (4, 6, 4, 6): [37]}


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


def matrices(trace: AttentionTrace, layer: int) -> np.ndarray:
    """All weights of a layer, from float64: (heads, tokens, tokens)."""
    kept = trace.layers[layer]
    return explicit_weights(kept.queries.double(), kept.keys.double(), scale=kept.scale).numpy()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("some", [1, 4, 64])
def test_maps_and_shares_are_means_of_the_explicit_matrix(
    trace: AttentionTrace, region: Query, some: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SOME", some)
    matrix, tokens = matrices(trace, 1), REGIONS[region]
    expected = {"raw": matrix[:, tokens].mean(axis=1)[:, 3:], "column": matrix[:, 3:, tokens].mean(axis=2)}
    for name, maps in expected.items():
        method = find_method(name)
        found = method.attribute(trace, layer=1, head=2, query=region)
        np.testing.assert_allclose(found.heads.reshape(3, 35), maps, rtol=1e-5)
        np.testing.assert_allclose(found.map.values.ravel(), maps[2], rtol=1e-5)
        shares = method.distributions(trace, layer=1, query=region)
        np.testing.assert_allclose(shares, maps / maps.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(trace.rows(1, region).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(trace.attention_map(1, 2, region).values, trace.head_maps(1, region)[2])


def test_a_region_is_named_by_its_rows_and_columns(trace: AttentionTrace) -> None:
    region = (1, 2, 2, 4)
    assert trace.attention_map(0, 1, region).label == "layer 0 · head 1 · query region of rows 1–2, cols 2–4"
    found = find_method("column").attribute(trace, query=region).map
    assert found.label == "column attention · layer 1 · head mean · key region of rows 1–2, cols 2–4"


def test_heads_compare_by_a_region(trace: AttentionTrace) -> None:
    shares = find_method("raw").distributions(trace, layer=0, query=(1, 2, 2, 4))
    found = head_similarity(trace, query=(1, 2, 2, 4), layers=0)
    np.testing.assert_array_equal(found.divergence, jensen_shannon(shares))


def test_shares_are_exact_where_the_region_has_hardly_any_weight() -> None:
    """All attention is on CLS but for e^-2000 or so."""
    grid = TokenGrid(prefix=1, rows=1, cols=3, patch_size=4)
    scores = torch.tensor([[9000, 0, 0, 0], [2000, 0, 3, 0], [2000, 0, 2, 0], [2000, 9, 9, 9]], dtype=torch.float64)
    scores[:, 1:] = scores[:, 1:].clamp(min=1).log()
    layer = LayerTrace(scores[None], torch.eye(4, dtype=torch.float64)[None], scores.logsumexp(-1)[None], 1.0)
    trace = replace(made_trace({0: np.ones((1, 4))}, grid=grid), layers={0: layer})
    region = (0, 0, 0, 1)  # whose rows are 1, 3, 1 and 1, 2, 1, and its columns, by row, 1 + 3, 1 + 2 and 9 + 9
    assert not find_method("raw").attribute(trace, query=region).heads.any()
    rows = find_method("raw").distributions(Run(trace), layer=0, query=region)
    np.testing.assert_allclose(rows, [[2 / 9, 5 / 9, 2 / 9]], rtol=1e-12)
    columns = find_method("column").distributions(Run(trace), layer=0, query=region)
    np.testing.assert_allclose(columns, [[4 / 25, 3 / 25, 18 / 25]], rtol=1e-12)
