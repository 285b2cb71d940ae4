"""Streamed attention equals explicit attention, and its statistics are exact."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.vit_engine.model.streams import LargestStorage, draw, scored, stream
from vit_engine.grid import TokenGrid
from vit_engine.model.streaming import StreamedAttention, _PatchSums, explicit_weights

GRIDS = ((1, 1), (1, 7), (5, 1), (2, 3), (3, 5), (7, 5), (3, 11))
STATISTICS = ("entropy", "patch_entropy", "prefix_mass", "maximum", "distance")


def reference(q: Tensor, k: Tensor, v: Tensor, grid: TokenGrid, *, scale: float = 1.0) -> dict[str, Tensor]:
    """Everything from the whole matrix in float64, by the definitions."""
    scores = scale * q.double() @ k.double().mT
    weights, patches = scores.softmax(dim=-1), scores[..., grid.prefix :].softmax(dim=-1)
    centres = [grid.centre(row, col) for row in range(grid.rows) for col in range(grid.cols)]
    distances = torch.tensor([[math.dist(a, b) for b in centres] for a in centres], dtype=torch.float64)
    return {
        "output": weights @ v.double(),
        "log_normaliser": scores.logsumexp(dim=-1),
        "entropy": torch.special.entr(weights).sum(dim=-1),
        "patch_entropy": torch.special.entr(patches).sum(dim=-1),
        "prefix_mass": weights[..., : grid.prefix].sum(dim=-1),
        "maximum": weights.amax(dim=-1),
        "distance": (patches[..., grid.prefix :, :] * distances).sum(dim=-1),
    }


def assert_exact(streamed: StreamedAttention, expected: dict[str, Tensor]) -> None:
    for name, values in expected.items():
        got = getattr(streamed, name)
        tolerance = {"rtol": 1e-4, "atol": 1e-4} if name == "distance" else {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(got.double(), values, **tolerance, msg=lambda text, name=name: f"{name}: {text}")


@given(
    shape=st.sampled_from(GRIDS),
    prefix=st.sampled_from((0, 1, 3, 5)),
    chunk_bytes=st.sampled_from((1, 60, 500, 3001, 1 << 14, 1 << 22, None)),
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    spread=st.sampled_from((0.3, 1.0, 2.0)),
    seed=st.integers(0, 1 << 30),
)
@settings(max_examples=60)
def test_streamed_attention_equals_explicit_attention(
    *, shape: tuple[int, int], prefix: int, chunk_bytes: int | None, batch: int, heads: int, spread: float, seed: int
) -> None:
    grid = TokenGrid(prefix, *shape, 14)
    tensors = draw(seed, batch, heads, grid.tokens, 5, spread=spread)
    q, k, v = next(tensors), next(tensors), next(tensors)
    streamed = stream(q, k, v, grid, scale=5**-0.5, chunk_bytes=chunk_bytes)
    assert_exact(streamed, reference(q, k, v, grid, scale=5**-0.5))


@pytest.mark.parametrize("order", [1, -1])
def test_sums_are_right_when_the_largest_score_comes_first_and_when_it_comes_last(order: int) -> None:
    # A chunk has one row of four patches; each row's scores are far from those of the last one.
    grid = TokenGrid(2, 6, 4, 8)
    patches = torch.arange(24.0).flip(0) if order < 0 else torch.arange(24.0)
    q, k = scored([11.0, 7.5, *(patches * 0.8).tolist()])
    v = torch.arange(float(grid.tokens)).view(1, 1, -1, 1)
    assert_exact(stream(q, k, v, grid, chunk_bytes=1), reference(q, k, v, grid))


def test_three_tokens_by_hand() -> None:
    # CLS and two patches side by side, 10 px each; weights 1/8, 2/8, 5/8.
    q, k = scored([2 * math.log(1), 2 * math.log(2), 2 * math.log(5)])
    v = torch.tensor([1.0, 10.0, 100.0]).view(1, 1, 3, 1)
    got = stream(q, k, v, TokenGrid(1, 1, 2, 10), scale=0.5)
    entropy = -(1 / 8 * math.log(1 / 8) + 2 / 8 * math.log(2 / 8) + 5 / 8 * math.log(5 / 8))
    patch_entropy = -(2 / 7 * math.log(2 / 7) + 5 / 7 * math.log(5 / 7))
    assert got.output[0, 0, :, 0].tolist() == pytest.approx([65.125] * 3, rel=1e-6)
    assert got.log_normaliser[0, 0].tolist() == pytest.approx([math.log(8)] * 3, rel=1e-6)
    assert got.entropy[0, 0].tolist() == pytest.approx([entropy] * 3, rel=1e-6)
    assert got.patch_entropy[0, 0].tolist() == pytest.approx([patch_entropy] * 3, rel=1e-6)
    assert got.prefix_mass[0, 0].tolist() == pytest.approx([1 / 8] * 3, rel=1e-6)
    assert got.maximum[0, 0].tolist() == pytest.approx([5 / 8] * 3, rel=1e-6)
    assert got.distance[0, 0].tolist() == pytest.approx([50 / 7, 20 / 7], rel=1e-6)


def test_explicit_weights_of_three_keys_by_hand() -> None:
    _, k = scored([2 * math.log(1), 2 * math.log(2), 2 * math.log(5)])
    weights = explicit_weights(torch.ones(1, 1, 1, 1), k, scale=0.5)
    assert weights.flatten().tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], rel=1e-6)


@pytest.mark.parametrize("target", [0, 2, 3, 10])
def test_one_hot_attention_has_entropy_exactly_zero(target: int) -> None:
    grid = TokenGrid(3, 2, 4, 16)
    q, k = scored([1e4 if token == target else 0.0 for token in range(grid.tokens)])
    got = stream(q, k, torch.ones(1, 1, grid.tokens, 1), grid)
    assert got.entropy.unique().tolist() == [0.0]
    assert got.maximum.unique().tolist() == [1.0]
    assert got.prefix_mass.unique().tolist() == [1.0 if target < 3 else 0.0]


@pytest.mark.parametrize("common", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_even_attention_has_entropy_ln_n_whatever_score_all_keys_share(common: float, prefix: int) -> None:
    grid = TokenGrid(prefix, 3, 5, 16)
    q, k = scored([common] * grid.tokens)
    got = stream(q, k, torch.ones(1, 1, grid.tokens, 1), grid)
    assert got.entropy[0, 0].tolist() == pytest.approx([math.log(grid.tokens)] * grid.tokens, abs=2e-6)
    assert got.patch_entropy[0, 0].tolist() == pytest.approx([math.log(15)] * grid.tokens, abs=2e-6)
    assert got.prefix_mass[0, 0].tolist() == pytest.approx([prefix / grid.tokens] * grid.tokens, abs=1e-6)


@pytest.mark.parametrize("spread", [10.0, 100.0])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_huge_scores_stay_exact_finite_and_never_negative(spread: float, prefix: int) -> None:
    # Whole numbers: the scores, up to ±10⁴ and more, are exact in float32 too.
    grid = TokenGrid(prefix, 5, 7, 8)
    tensors = draw(0, 2, 3, grid.tokens, 2, spread=spread)
    q, k, v = next(tensors).round(), next(tensors).round(), next(tensors) / spread
    got = stream(q, k, v, grid, chunk_bytes=999)
    assert_exact(got, reference(q, k, v, grid))
    for name in STATISTICS:
        assert (getattr(got, name) >= 0).all(), name


@pytest.mark.parametrize("spread", [6.0, 20.0, 60.0])
@pytest.mark.parametrize("chunk_bytes", [None, 4001])
def test_scores_that_float32_knows_only_coarsely_are_exact_too(spread: float, chunk_bytes: int | None) -> None:
    grid = TokenGrid(3, 7, 9, 8)
    tensors = draw(1, 1, 4, grid.tokens, 64, spread=spread)
    q, k, v = next(tensors), next(tensors), next(tensors) / spread
    k = k[:, :, :1] + k / 50  # keys that share most of their score, as outliers make them: many a weight is not 0
    expected = reference(q, k, v, grid, scale=1 / 8)
    assert expected["log_normaliser"].abs().max() > 100
    assert (expected["entropy"] > 0.1).sum() > 20
    assert_exact(stream(q, k, v, grid, scale=1 / 8, chunk_bytes=chunk_bytes), expected)


def test_identical_keys_share_evenly_however_large_their_score() -> None:
    grid = TokenGrid(3, 5, 7, 8)
    tensors = draw(2, 1, 2, grid.tokens, 64, spread=60.0)
    q, k = next(tensors), next(tensors)[:, :, :1].expand(-1, -1, grid.tokens, -1)
    got = stream(q, k, q, grid, scale=1 / 8)
    torch.testing.assert_close(got.entropy, torch.full_like(got.entropy, math.log(grid.tokens)), rtol=0, atol=2e-6)
    torch.testing.assert_close(got.prefix_mass, torch.full_like(got.entropy, 3 / grid.tokens), rtol=0, atol=1e-7)


@pytest.mark.parametrize("gap", [50.0, 1e4])
def test_patch_entropy_survives_a_prefix_that_takes_all_the_mass(gap: float) -> None:
    grid = TokenGrid(3, 2, 3, 16)
    patch_scores = [0.0, 1.0, 2.0, -1.0, 0.5, 3.0]
    q, k = scored([gap, gap, gap, *patch_scores])
    got = stream(q, k, torch.ones(1, 1, 9, 1), grid)
    expected = reference(q, k, torch.ones(1, 1, 9, 1), grid)
    assert_exact(got, expected)
    assert got.prefix_mass[0, 0].tolist() == pytest.approx([1.0] * 9)
    assert got.entropy[0, 0].tolist() == pytest.approx([math.log(3)] * 9, abs=1e-6)


def test_a_single_patch_has_no_entropy_and_no_distance() -> None:
    tensors = draw(0, 1, 2, 1, 4)
    got = stream(next(tensors), next(tensors), v := next(tensors), TokenGrid(0, 1, 1, 16))
    torch.testing.assert_close(got.output, v)
    assert got.entropy.unique().tolist() == got.distance.unique().tolist() == [0.0]
    assert got.maximum.unique().tolist() == [1.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened_before_anything_is_summed(dtype: torch.dtype) -> None:
    grid = TokenGrid(2, 5, 3, 16)
    tensors = draw(0, 1, 2, grid.tokens, 8)
    q, k, v = (next(tensors).to(dtype) for _ in range(3))
    got = stream(q, k, v, grid, scale=8**-0.5)
    expected = reference(q, k, v, grid, scale=8**-0.5)
    assert got.output.dtype == dtype
    torch.testing.assert_close(got.output, expected.pop("output").to(dtype))
    assert {getattr(got, name).dtype for name in (*STATISTICS, "log_normaliser")} == {torch.float32}
    assert_exact(got, expected)


@pytest.mark.parametrize(
    ("plan", "left_out"),
    [
        ({"distance": False}, {"distance"}),
        ({"entropy": False}, {"entropy", "patch_entropy", "prefix_mass", "maximum"}),
        ({"entropy": False, "distance": False}, set(STATISTICS)),
        ({"output": False}, {"output"}),
    ],
)
def test_what_the_plan_leaves_out_is_none_and_the_rest_unchanged(plan: dict[str, bool], left_out: set[str]) -> None:
    grid = TokenGrid(1, 2, 3, 16)
    tensors = draw(0, 1, 2, grid.tokens, 4)
    q, k, v = next(tensors), next(tensors), next(tensors)
    got, whole = stream(q, k, v, grid, **plan), stream(q, k, v, grid)
    for name in ("output", "log_normaliser", *STATISTICS):
        if name in left_out:
            assert getattr(got, name) is None
        else:
            torch.testing.assert_close(getattr(got, name), getattr(whole, name))


def test_argmax_is_found_only_where_the_plan_asks_for_it_and_changes_nothing_else() -> None:
    grid = TokenGrid(1, 5, 7, 16)
    tensors = draw(0, 1, 2, grid.tokens, 4)
    q, k, v = next(tensors), next(tensors), next(tensors)
    got, whole = stream(q, k, v, grid, argmax=False), stream(q, k, v, grid)
    assert got.argmax is None
    for name in ("output", "log_normaliser", *STATISTICS):
        assert torch.equal(getattr(got, name), getattr(whole, name)), name


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Chunks of more than `most` scores find no memory, after they have summed half. Gives the sizes tried."""
    add, tried = _PatchSums.add, []

    def scarce(self: _PatchSums, chunk: object, q: Tensor, k: Tensor, v: Tensor) -> None:
        tried.append(q.shape[0] * q.shape[1] * k.shape[1])
        add(self, chunk, q, k, v)
        if tried[-1] > most:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(_PatchSums, "add", scarce)
    return tried


def test_chunks_shrink_until_a_gpus_memory_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = TokenGrid(1, 5, 7, 8)
    tensors = draw(0, 1, 2, grid.tokens, 4)
    q, k, v = next(tensors), next(tensors), next(tensors)
    tried = short_of_memory(monkeypatch, most=300)
    assert_exact(stream(q, k, v, grid), reference(q, k, v, grid))
    assert tried[0] == 2 * 36 * 35
    assert 75 <= tried[-1] <= 300


def test_memory_that_does_not_suffice_for_one_query_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = TokenGrid(1, 5, 7, 8)
    x = torch.ones(1, 2, grid.tokens, 4)
    tried = short_of_memory(monkeypatch, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        stream(x, x, x, grid)
    assert tried[-1] == grid.cols


def test_inputs_are_left_as_they_were() -> None:
    grid = TokenGrid(1, 2, 3, 16)
    tensors = draw(0, 1, 2, grid.tokens, 4)
    inputs = [next(tensors) for _ in range(3)]
    before = [tensor.clone() for tensor in inputs]
    stream(*inputs, grid, scale=0.5)
    for tensor, copy in zip(inputs, before, strict=True):
        torch.testing.assert_close(tensor, copy, rtol=0, atol=0)


def test_a_grid_of_other_tokens_is_refused() -> None:
    x = torch.ones(1, 1, 8, 2)
    with pytest.raises(ValueError, match="grid has 7 tokens; got 8"):
        stream(x, x, x, TokenGrid(1, 2, 3, 16))


@pytest.mark.parametrize("shape", [(11, 13), (1, 151), (151, 1)])
def test_no_tensor_grows_with_the_square_of_the_tokens(shape: tuple[int, int]) -> None:
    grid, budget = TokenGrid(3, *shape, 8), 1 << 13
    tensors = draw(0, 1, 2, grid.tokens, 4)
    q, k, v = next(tensors), next(tensors), next(tensors)
    with LargestStorage() as largest:
        stream(q, k, v, grid, chunk_bytes=budget)
    assert budget / 2 < largest.nbytes <= budget < 4 * grid.tokens**2 / 10
