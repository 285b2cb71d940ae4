"""load_model(module): the module stays as it is, whatever it is wrapped in and however its weights are made."""

import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from tests.vit_engine.weights.formats.support import assert_parity, pictures, randomise
from tests.vit_engine.weights.formats.timm_peers import NATIVE, peer_of, small
from tests.vit_engine.weights.live.lookalikes import Dino, Mae
from vit_engine.errors import CheckpointError, ResourceError, SpecError
from vit_engine.resources.budget import BUDGET_VARIABLE
from vit_engine.weights import load_model


def vit(**options: Any) -> nn.Module:
    return small("vit_small_patch16_224", **{"num_classes": 0, **options})


class Training(nn.Module):
    """As a Lightning module has its model: an attribute, among losses and heads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.probe = model, nn.Linear(24, 7)


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "none": lambda model: model,
    "DataParallel": nn.DataParallel,
    "torch.compile": torch.compile,
    "a training module": Training,
    "compiled in a training module": lambda model: Training(torch.compile(model)),
    "Sequential": lambda model: nn.Sequential(model, nn.Linear(24, 7)),
    "average of weights": torch.optim.swa_utils.AveragedModel,
}


@pytest.mark.parametrize("make", [vit, lambda: randomise(Dino())], ids=["timm", "DINO"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_parity_in_any_wrapper(wrapper: str, make: Callable[[], nn.Module]) -> None:
    model = make()
    loaded = load_model(WRAPPERS[wrapper](model), device="cpu")
    assert_parity(loaded, pictures(20, 28), peer_of(model, pictures(20, 28)))
    assert loaded.report.verified.startswith("attention and tokens of all layers agree with the module's own")


def test_what_is_beside_the_model_is_named() -> None:
    dropped = dict(load_model(Training(vit()), device="cpu").report.dropped)
    assert dropped == {
        "the forward around backbone": "is not run; what it does before and after is not seen",
        "probe: 2 tensors": "beside the Vision Transformer, which is backbone",
    }
    assert load_model(nn.DataParallel(vit()), device="cpu").report.dropped == ()


def test_extra_state_of_a_module_is_no_tensor_and_named() -> None:
    class Scaled(type(vit().norm)):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

    model = vit()
    model.norm.__class__ = Scaled
    report = load_model(model, device="cpu").report
    assert report.dropped == (("norm._extra_state", "no tensor but dict, as its module's extra state"),)


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
def test_the_module_stays_as_it_is(training: bool) -> None:
    """Mode, values, gradients, hooks that never run, and random numbers."""
    model, seen = vit(proj_drop_rate=0.5).requires_grad_(True).train(training), []
    model(pictures(*NATIVE)).sum().backward()
    model.blocks[0].attn.register_forward_hook(lambda *_: seen.append(1))
    before, gradient = snapshot(model), model.cls_token.grad.clone()
    attributes = {name: set(vars(part)) for name, part in model.named_modules()}
    torch.manual_seed(3)
    load_model(model, device="cpu")
    assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert seen == []
    assert {part.training for part in model.modules()} == {training}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model.cls_token.grad, gradient)
    assert {name: set(vars(part)) for name, part in model.named_modules()} == attributes


def test_random_numbers_that_a_forward_draws_are_not_the_users() -> None:
    model = randomise(Mae())
    torch.manual_seed(3)
    load_model(model, device="cpu")
    assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))


def test_the_loaded_model_is_a_copy() -> None:
    model = vit()
    loaded = load_model(model, device="cpu")
    before = snapshot(loaded.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert not loaded.model.training


def test_a_module_may_be_loaded_in_inference_mode_and_under_autocast() -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        report = load_model(vit(), device="cpu").report
    assert report.verified


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(dtype: torch.dtype) -> None:
    model = vit().to(dtype)
    loaded = load_model(model, device="cpu")
    assert model.cls_token.dtype == dtype
    assert loaded.dtype == torch.float32
    assert loaded.report.dtypes == ((str(dtype).removeprefix("torch."), len(model.state_dict())),)
    assert_parity(loaded, pictures(20, 28), peer_of(model.float(), pictures(20, 28)))


def test_the_sha256_is_of_the_tensors() -> None:
    def sha256(model: nn.Module) -> str:
        return load_model(model, device="cpu").report.sha256

    model = vit()
    before = sha256(model)
    assert sha256(nn.DataParallel(model)) == before
    assert sha256(copy.deepcopy(model).to(memory_format=torch.channels_last)) == before
    assert sha256(copy.deepcopy(model).double()) != before
    for tensor in (model.cls_token, model.norm.bias):
        changed = copy.deepcopy(tensor)
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
        assert sha256(model) != before
        tensor.data = changed.data
    assert sha256(model) == before


def parametrised(model: nn.Module) -> nn.Module:
    parametrizations.spectral_norm(model.blocks[0].attn.qkv)
    parametrizations.weight_norm(model.blocks[1].mlp.fc1)
    return model


def normalised_by_hooks(model: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning):
        weight_norm(model.blocks[0].attn.qkv)
    spectral_norm(model.blocks[1].mlp.fc1)
    return model


def pruned(model: nn.Module) -> nn.Module:
    prune.l1_unstructured(model.blocks[0].attn.qkv, "weight", amount=0.4)
    return model


@pytest.mark.parametrize("change", [parametrised, normalised_by_hooks, pruned])
def test_weights_that_are_computed_from_others_are_taken_as_they_are_used(change: Callable) -> None:
    model = change(vit()).eval()
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(20, 28), peer_of(model, pictures(20, 28)))
    whys = {why for _, why in loaded.report.dropped}
    assert "blocks.0.attn.qkv.weight is computed from it, and was taken" in whys
    assert loaded.report.verified


def test_hooks_are_named_in_the_report() -> None:
    model = vit()
    for block in model.blocks:
        block.attn.register_forward_hook(lambda *_: None)
    ((what, why),) = load_model(model, device="cpu").report.dropped
    assert what == "2 forward hooks: blocks.0.attn, blocks.1.attn"
    assert "hooks are not run" in why


@pytest.mark.parametrize("source", [3, len, {}, None, [nn.Linear(2, 2)]])
def test_what_is_no_model_at_all_is_refused(source: Any) -> None:
    with pytest.raises(SpecError, match=r"a model must be a name, .* or a torch\.nn\.Module; got "):
        load_model(source)


def test_options_that_go_with_names_are_refused() -> None:
    with pytest.raises(SpecError, match="weights= goes with a model's name"):
        load_model(vit(), weights="random")
    with pytest.raises(CheckpointError, match=r"has 3 heads \(from the module's attention layers\); got heads=6"):
        load_model(vit(), heads=6)


def test_copies_must_fit_the_memory_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "50 kB")
    with pytest.raises(ResourceError, match="timm VisionTransformer in memory: its tensors have"):
        load_model(vit(), device="cpu")


def test_a_forward_that_was_replaced_by_a_method_is_run_and_any_other_is_refused() -> None:
    model, attention = vit(), lambda self, x, **_: self.proj(self.qkv(x)[..., :24])
    model.blocks[1].attn.forward = types.MethodType(attention, model.blocks[1].attn)
    with pytest.raises(CheckpointError, match="attention in layer 1"):
        load_model(model, device="cpu")
    model.blocks[1].attn.forward = lambda x, **_: x
    with pytest.raises(CheckpointError, match="the forward of its Attention was replaced"):
        load_model(model, device="cpu")


def test_what_a_forward_writes_to_is_not_the_modules() -> None:
    class Recording(type(vit())):
        def forward_features(self, x: Tensor, **options: Any) -> Tensor:
            self.seen["maps"].append(x)
            self.last = x
            return super().forward_features(x, **options)

    model = vit()
    model.__class__, model.seen = Recording, {"maps": []}
    assert load_model(model, device="cpu").report.verified
    assert model.seen == {"maps": []}
    assert not hasattr(model, "last")


def test_what_parts_of_a_module_share_its_twins_parts_share() -> None:
    class Switched(type(vit().blocks[1])):
        def forward(self, x: Tensor, **options: Any) -> Tensor:
            return super().forward(x.flip(1) if self.switches["flip"] else x, **options)

    class Switching(type(vit())):
        def forward_features(self, x: Tensor, **options: Any) -> Tensor:
            self.switches["flip"] = True
            return super().forward_features(x, **options)

    model = vit()
    model.__class__, model.blocks[1].__class__ = Switching, Switched
    model.switches = model.blocks[1].switches = {"flip": False}
    with pytest.raises(CheckpointError, match="attention in layer 1 differ"):
        load_model(model, device="cpu")
    assert model.switches == {"flip": False}


def test_a_forward_may_call_layers_and_methods_that_are_plain_attributes() -> None:
    class Listed(type(vit())):
        def forward_features(self, x: Tensor, **_: Any) -> Tensor:
            x = self.embedded(self.patch_embed(x))
            for block in self.layers:
                x = block(x)
            return self.norm(x)

    model, seen = vit().half().train(), []
    model.__class__, model.layers, model.embedded = Listed, [*model.blocks], model._pos_embed
    model.blocks[0].register_forward_hook(lambda *_: seen.append(1))
    assert load_model(model, device="cpu").report.verified
    assert seen == []


@pytest.mark.parametrize("part", ["", "attn", "mlp"])
def test_layers_may_share_their_modules(part: str) -> None:
    model = vit()
    if part:
        setattr(model.blocks[1], part, getattr(model.blocks[0], part))
    else:
        model.blocks[1] = model.blocks[0]
    loaded = load_model(model, device="cpu")
    model.blocks[1] = copy.deepcopy(model.blocks[1])  # the peer is watched by its modules
    assert_parity(loaded, pictures(*NATIVE), peer_of(model, pictures(*NATIVE)))
    assert loaded.report.verified


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_another_default_type_changes_nothing(dtype: torch.dtype) -> None:
    model = vit()
    torch.set_default_dtype(dtype)
    try:
        report = load_model(model, device="cpu").report
    finally:
        torch.set_default_dtype(torch.float32)
    assert report == load_model(model, device="cpu").report
    assert report.verified


def test_the_replaced_forward_of_accelerate_only_moves_tensors() -> None:
    model = vit()
    model._hf_hook, model.forward = object(), functools.partial(type(model).forward, model)
    assert load_model(model, device="cpu").report.verified
