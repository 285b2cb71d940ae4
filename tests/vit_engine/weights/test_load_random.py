"""Random weights are asked for by name, follow from the seed alone, and say so."""

import torch

from vit_engine.spec import ModelSpec
from vit_engine.weights import load_model


def test_random_weights_follow_from_the_seed_alone(small_spec: ModelSpec) -> None:
    before = torch.get_rng_state()
    first = load_model(small_spec, weights="random", device="cpu", seed=7)
    torch.rand(3)
    again, other = (load_model(small_spec, weights="random", device="cpu", seed=seed) for seed in (7, 8))
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
        assert tensor.isfinite().all(), name
        assert tensor.abs().max() <= 1, name
    assert not torch.equal(first.model.pos_embed, other.model.pos_embed)
    torch.set_rng_state(before)


def test_random_weights_leave_torchs_own_generator_alone(small_spec: ModelSpec) -> None:
    before = torch.get_rng_state()
    load_model(small_spec, weights="random", device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_random_weights_say_so(small_spec: ModelSpec) -> None:
    report = load_model(small_spec, weights="random", device="cpu", seed=7).report
    assert report.random
    assert (report.source, report.format, report.sha256) == ("random (seed 7)", "random", None)
    assert "random (seed 7)" in str(report)


def test_a_model_without_trained_weights_is_random_by_its_name() -> None:
    loaded = load_model("random_vit_tiny_p16", device="cpu", heads=6)
    assert loaded.report.random
    assert loaded.model.blocks[0].attn.heads == loaded.spec.heads == 6
