"""A module's twin: it can be run and asked without a trace in the module itself."""

import copy
from collections import OrderedDict, defaultdict
from types import MethodType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from vit_engine.errors import CheckpointError

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_INTERNAL = frozenset(vars(nn.Module()))  # PyTorch's own attributes of modules
# PyTorch's older ways to compute a weight from others, before each forward pass: the tensors that it is made of.
_COMPUTED: dict[type, tuple[str, ...]] = {
    WeightNorm: ("_g", "_v"),
    SpectralNorm: ("_orig", "_u", "_v"),
    BasePruningMethod: ("_orig", "_mask"),
}


class Twins:
    """Modules of the same classes with the same values, in float32 on the CPU, in eval mode and without hooks.

    Their tensors are the module's own where these are in float32 on the CPU, so they must not be written to.
    """

    def __init__(self) -> None:
        self._modules: dict[int, nn.Module] = {}  # by id of the original
        self._tensors: dict[int, tuple[Tensor, Tensor]] = {}  # by id of the original, which is held: ids come again
        self._containers: dict[int, tuple[Any, Any]] = {}  # likewise

    def of(self, module: nn.Module) -> nn.Module:
        """The twin of a module, the same one each time. CheckpointError where its forward was replaced."""
        if id(module) not in self._modules:
            inner = vars(module).get("_modules", {}).get("_orig_mod")  # of torch.compile, which would run the original
            if inner is not None:
                self._modules[id(module)] = self.of(inner)
            else:
                self._build(module)
        return self._modules[id(module)]

    def _build(self, module: nn.Module) -> None:
        twin = self._modules[id(module)] = object.__new__(type(module))
        plain = {name: value if name in _INTERNAL else self._own(value) for name, value in _state(module)}
        plain |= {name: OrderedDict() for name in _HOOKS}
        plain |= {"training": False, "_compiled_call_impl": None}
        plain["_parameters"] = {name: self._parameter(each) for name, each in module._parameters.items()}
        plain["_buffers"] = {
            name: each if each is None else self._plain(each).clone() for name, each in module._buffers.items()
        }
        plain["_modules"] = {name: each if each is None else self.of(each) for name, each in module._modules.items()}
        plain |= {name: self._plain(value) for name, (value, _) in computed_weights(module).items()}
        if "forward" in plain:
            plain["forward"] = _rebound(module, twin)
        vars(twin).update(plain)

    def _parameter(self, parameter: Tensor | None) -> nn.Parameter | None:
        return None if parameter is None else nn.Parameter(self._plain(parameter), requires_grad=False)

    def _own(self, value: Any) -> Any:
        """The twin of an attribute: of a module and its methods too, however deep in lists and dicts."""
        if isinstance(value, nn.Module):
            return self.of(value)
        if isinstance(value, Tensor):
            return self._plain(value)
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.of(value.__self__))
        if type(value) is tuple:
            return tuple(self._own(each) for each in value)
        return self._container(value) if isinstance(value, list | dict | set) else value

    def _container(self, value: Any) -> Any:
        """Forward passes may write to lists and dicts: a copy, which is shared by those that share the original."""
        if id(value) not in self._containers:
            twin = copy.copy(value)
            self._containers[id(value)] = value, twin
            if type(value) is list:
                twin[:] = [self._own(each) for each in value]
            elif type(value) in {dict, OrderedDict, defaultdict}:
                twin.update({key: self._own(each) for key, each in value.items()})
        return self._containers[id(value)][1]

    def _plain(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._tensors:
            kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
            self._tensors[id(tensor)] = tensor, tensor.detach().to("cpu", kind)
        return self._tensors[id(tensor)][1]


def _state(module: nn.Module) -> list[tuple[str, Any]]:
    """What it holds; accelerate's replacement of its forward only moves tensors between devices, and is left out."""
    state = dict(vars(module))
    if "_hf_hook" in state:
        state.pop("forward", None)
    return list(state.items())


def _rebound(module: nn.Module, twin: nn.Module) -> MethodType:
    forward = vars(module)["forward"]
    if isinstance(forward, MethodType) and forward.__self__ is module:
        return MethodType(forward.__func__, twin)
    raise CheckpointError(
        f"the forward of its {type(module).__name__} was replaced by another function, and what that computes cannot "
        "be compared. Pass the module as its class has it."
    )


def computed_weights(module: nn.Module) -> dict[str, tuple[Tensor, tuple[str, ...]]]:
    """By name, the weights that a module computes by torch.nn.utils.weight_norm, spectral_norm or prune, and of what.

    Each with the names of the tensors that it is made of, those of the module itself.
    """
    computed = {}
    hooks: list[Any] = list(module._forward_pre_hooks.values())
    for hook in hooks:
        ends = next((ends for kind, ends in _COMPUTED.items() if isinstance(hook, kind)), None)
        if ends is not None:
            name = hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name
            with torch.no_grad():
                computed[name] = _computed(hook, module).detach(), tuple(f"{name}{end}" for end in ends)
    return computed


def _computed(hook: Any, module: nn.Module) -> Tensor:
    if isinstance(hook, BasePruningMethod):
        return hook.apply_mask(module)
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(module, do_power_iteration=False)
    return hook.compute_weight(module)


def parametrised_weights(module: nn.Module) -> dict[str, Tensor]:
    """By name, the weights that a module computes by torch.nn.utils.parametrize, as it does in eval mode."""
    if not parametrize.is_parametrized(module):
        return {}
    twin = Twins().of(module)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        names = cast(nn.ModuleDict, module.parametrizations)
        return {name: getattr(twin, name).detach() for name in names}
