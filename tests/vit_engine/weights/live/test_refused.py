"""Modules whose tensors are no weights to take, or hold several models: refused by what they are."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.formats.timm_peers import small
from tests.vit_engine.weights.live.lookalikes import Dino
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model


def vit() -> nn.Module:
    return small("vit_small_patch16_224", num_classes=0)


def of_class(name: str, kind: type[nn.Module], *arguments: Any) -> nn.Module:
    """A module of a class with this whole name: its library need not be there."""
    module, _, last = name.rpartition(".")
    return type(last, (kind,), {"__module__": module})(*arguments)


def quantised() -> nn.Module:
    model = vit()
    model.blocks[0].attn.qkv = of_class("torch.ao.nn.quantized.dynamic.modules.linear.Linear", nn.Linear, 24, 72)
    return model


def on_meta() -> nn.Module:
    return vit().to("meta")


def two() -> nn.Module:
    return nn.ModuleDict({"student": vit(), "teacher": vit()})


def two_of_no_library() -> nn.Module:
    return nn.ModuleDict({"student": Dino(), "teacher": Dino()})


def with_adapter() -> nn.Module:
    model = vit()
    model.blocks[0].attn.qkv.lora_A = nn.Linear(24, 2)
    return model


def with_adapter_class() -> nn.Module:
    model = vit()
    model.blocks[0].attn.qkv = of_class("peft.tuners.lora.layer.Linear", nn.Linear, 24, 72)
    return model


def sharded() -> nn.Module:
    name = "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel"
    return of_class(name, nn.Sequential, vit())


def two_parts() -> nn.Module:
    return nn.ModuleDict({"student": nn.Conv2d(3, 5, 7), "teacher": nn.Conv2d(3, 5, 7)})


def without_an_mlp() -> nn.Module:
    model = randomise(Dino())
    for block in model.blocks:
        del block.mlp
    return model


def renaming() -> nn.Module:
    def rename(_: nn.Module, state: dict[str, Tensor], *__: Any) -> None:
        for name in [name for name in state if name.startswith("blocks.")]:
            state[f"backbone.{name}"] = state.pop(name)

    model = randomise(Dino())
    model.register_state_dict_post_hook(rename)
    return model


def without_its_pooling() -> nn.Module:
    model = vit()
    del model.global_pool
    return model


REFUSED = {
    without_its_pooling: r"its attributes are not as timm makes them \(AttributeError: .*global_pool",
    nn.Identity: r"^Identity in memory: it has no parameters\. Pass a module",
    without_an_mlp: r"a Vision Transformer's blocks\.0\.mlp\.\* is missing; got blocks\.0\.attn",
    renaming: r"state_dict\(\) has tensors of 'backbone\.blocks\.0\..*', and no module of it is called so",
    quantised: r"a quantised module: blocks\.0\.attn\.qkv is a torch\.ao\.nn\.quantized\.",
    on_meta: r"no values \(meta tensors\)",
    two: r"holds 2 Vision Transformers: student, teacher\. Pass the one that is meant",
    two_of_no_library: r"holds 2 Vision Transformers: student, teacher\. Pass the one that is meant",
    two_parts: r"it holds several networks, 'teacher' among them; pass the part of the module",
    with_adapter: r"it is an adapter .*lora_A.*merge_and_unload",
    with_adapter_class: r"a module with an adapter .*blocks\.0\.attn\.qkv is a peft\..*merge_and_unload",
    sharded: r"parameters are sharded \(FSDP\).*the module itself is a torch\.distributed\.fsdp.*Gather",
    lambda: nn.Linear(3, 5): r"^Linear in memory: it is .*; got bias, weight\. .*pass the part of the module",
    lambda: nn.Conv2d(3, 5, 7): r"it is not a Vision Transformer",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_cannot_be_taken_is_refused_by_what_it_is(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(CheckpointError, match=REFUSED[make]):
        load_model(make(), device="cpu")
