"""A GPU gives the numbers of a CPU. Without one these tests are left out, and the summary says so."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.live.lookalikes import Dino
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model.streaming import AttentionPlan, stream_attention
from vit_engine.spec import ModelSpec
from vit_engine.trace import attend
from vit_engine.weights import load_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("class_names", [(), ("ant", "bee")])
def test_a_trace_made_on_a_gpu_is_that_of_a_cpu(
    small_spec: ModelSpec, prepared: PreparedImage, class_names: tuple[str, ...]
) -> None:
    spec = dataclasses.replace(small_spec, class_names=class_names)
    on_cpu, on_gpu = (
        attend(load_model(spec, weights="random", device=device, seed=0), prepared) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_gpu.statistics.to_frame(), on_cpu.statistics.to_frame(), rtol=1e-4, atol=1e-4)
    for layer in (0, 1):
        np.testing.assert_allclose(on_gpu.rows(layer, (2, 3)), on_cpu.rows(layer, (2, 3)), atol=1e-4)
    assert [each.label for each in on_gpu.predictions] == [each.label for each in on_cpu.predictions]


@pytest.mark.parametrize("chunk_bytes", [None, 1 << 12])
def test_chunks_on_a_gpu_sum_to_what_they_sum_to_on_a_cpu(chunk_bytes: int | None) -> None:
    plan = AttentionPlan(TokenGrid(3, 17, 23, 8), chunk_bytes=chunk_bytes)
    q, k, v = torch.randn(3, 1, 5, plan.grid.tokens, 32, generator=torch.Generator().manual_seed(0))
    on_cpu = stream_attention(q, k, v, scale=0.2, plan=plan)
    on_gpu = stream_attention(q.cuda(), k.cuda(), v.cuda(), scale=0.2, plan=plan)
    for field in dataclasses.fields(on_cpu):
        expected = getattr(on_cpu, field.name)
        torch.testing.assert_close(getattr(on_gpu, field.name).cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_module_on_a_gpu_is_loaded_and_stays_there(dtype: torch.dtype) -> None:
    module = randomise(Dino()).to("cuda", dtype)
    loaded = load_model(module)
    assert loaded.report.verified
    assert (loaded.device.type, loaded.dtype) == ("cuda", torch.float32)
    assert {(each.device.type, each.dtype) for each in module.parameters()} == {("cuda", dtype)}
