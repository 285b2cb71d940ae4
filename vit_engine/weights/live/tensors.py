"""The tensors of a module, copied, with weights that it computes from others computed."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vit_engine.weights.live.twin import computed_weights, parametrised_weights
from vit_engine.weights.reading.listing import listed
from vit_engine.weights.reading.parts import counted

LeftOut = tuple[tuple[str, str], ...]


class Tensors(NamedTuple):
    by_name: Mapping[str, Tensor]  # those of the module itself, not copied
    left_out: LeftOut  # (name, why), as in LoadReport.dropped


def read_tensors(module: nn.Module) -> Tensors:
    """The state dict, in which weights stand as the module uses them: normalised, masked, or parametrised."""
    state = dict(module.state_dict())
    extra = [name for name, value in state.items() if not isinstance(value, Tensor)]
    left_out = [
        (name, f"no tensor but {type(state.pop(name)).__name__}, as its module's extra state") for name in extra
    ]
    for path, part in module.named_modules(remove_duplicate=False):
        before = f"{path}." if path else ""
        computed = {name: (value, names) for name, (value, names) in computed_weights(part).items()}
        for name, value in parametrised_weights(part).items():
            inner = f"parametrizations.{name}."
            computed[name] = value, tuple(key[len(before) :] for key in state if key.startswith(before + inner))
        for name, (value, names) in computed.items():
            keys = [f"{before}{each}" for each in names if state.pop(f"{before}{each}", None) is not None]
            left_out += [(key, f"{before}{name} is computed from it, and was taken") for key in keys]
            state[f"{before}{name}"] = value
    return Tensors(state, (*left_out, *_hooks(module)))


def _hooks(module: nn.Module) -> LeftOut:
    """The forward hooks, which are not run: nobody can tell those that change what is computed from those that look."""
    hooked = {
        path or "the module itself": count
        for path, part in module.named_modules()
        if (count := len(part._forward_hooks) + len(part._forward_pre_hooks) - len(computed_weights(part)))
    }
    if not hooked:
        return ()
    hooks = counted(sum(hooked.values()), "forward hook", "forward hooks")
    return ((f"{hooks}: {listed(hooked)}", "hooks are not run; one that changes what the module computes is not seen"),)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, in the types that they have."""
    return {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu").copy_(tensor.detach())
        for name, tensor in tensors.items()
    }


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """Of names, types, shapes and bytes, in the order of names. tensors: contiguous, on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
