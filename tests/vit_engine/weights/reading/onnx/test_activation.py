"""MLPs of the same Linears with other functions between them, which have the operators of those that are known."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from timm.layers import GluMlp, SwiGLU
from torch import Tensor, nn
from torch.nn import functional

from tests.vit_engine.weights.formats.exports import EXPORTERS, assert_computes, export
from tests.vit_engine.weights.formats.timm_peers import small
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

Function = Callable[[Tensor], Tensor]
Gate = Callable[[Tensor, Tensor], Tensor]


class Act(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def with_activation(function: Function) -> nn.Module:
    return small("vit_tiny_patch16_224", img_size=20, dynamic_img_size=False, act_layer=partial(Act, function))


def gelu(x: Tensor, *, root: float = 2**0.5, one: float = 1.0, half: float = 0.5) -> Tensor:
    return half * x * (one + torch.erf(x / root))


def gelu_tanh(x: Tensor, *, cubic: float = 0.044715, scale: float = (2 / torch.pi) ** 0.5) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(scale * (x + cubic * x**3)))


def swish(x: Tensor, *, slope: float) -> Tensor:
    return x * torch.sigmoid(slope * x)


KNOWN: dict[str, tuple[Function, str]] = {
    "gelu": (functional.gelu, "gelu"),
    "gelu in pieces": (gelu, "gelu"),
    "gelu by tanh": (partial(functional.gelu, approximate="tanh"), "gelu_tanh"),
    "gelu by tanh in pieces": (gelu_tanh, "gelu_tanh"),
    "quick gelu": (partial(swish, slope=1.702), "quick_gelu"),
    "in half precision": (lambda x: gelu(x.half().float(), root=1.4140625), "gelu"),
}
OTHER: dict[str, tuple[Function, str]] = {
    "another root": (partial(gelu, root=2 * 2**0.5), "Erf"),
    "twice as much": (partial(gelu, half=1.0), "Erf"),
    "another sum": (partial(gelu, one=2.0), "Erf"),
    "another cubic": (partial(gelu_tanh, cubic=0.4), "Tanh"),
    "another scale": (partial(gelu_tanh, scale=1.6), "Tanh"),
    "another slope": (partial(swish, slope=2.0), "Sigmoid"),
    "squashed": (lambda x: functional.gelu(x).tanh(), "Tanh"),
    "shifted": (lambda x: functional.gelu(x) + 1, "Add"),
    "nothing": (lambda x: x, "none"),
    "a root": (torch.sqrt, "Sqrt"),
    "of every channel": (lambda x: functional.gelu(x) * torch.linspace(1, 2, 96), "computes with the tensor"),
    "sine": (torch.sin, "Sin"),
    "of others": (lambda x: functional.gelu(x) * x.mean(), "(ReduceMean|Squeeze)"),
    "exchanged": (lambda x: torch.cat([x[..., 48:], x[..., :48]], dim=-1), "Concat"),
}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", KNOWN)
def test_known_activations_in_any_pieces(name: str, exporter: str, tmp_path: Path) -> None:
    function, kind = KNOWN[name]
    path = export(with_activation(function), tmp_path / "w.onnx", exporter, (20, 20))
    assert load_model(path, device="cpu").spec.mlp == kind


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", OTHER)
def test_others_are_refused_by_their_operators(name: str, exporter: str, tmp_path: Path) -> None:
    function, operator = OTHER[name]
    path = export(with_activation(function), tmp_path / "w.onnx", exporter, (20, 20))
    with pytest.raises(CheckpointError, match=rf"its MLP (has the activation )?.*{operator}"):
        load_model(path, device="cpu")


class Gated(nn.Module):
    """timm's DINOv2 with one Linear for gates and values, or with two."""

    def __init__(self, layer: type[nn.Module], gate: Gate) -> None:
        super().__init__()
        self.model = small(
            "vit_small_patch14_dinov2",
            img_size=20,
            dynamic_img_size=False,
            mlp_layer=partial(layer, act_layer=nn.SiLU) if layer is SwiGLU else partial(layer, gate_last=False),
            act_layer=nn.SiLU,
        )
        for block in self.model.blocks:
            block.mlp.forward = partial(gated, block.mlp, gate)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


def gated(mlp: nn.Module, gate: Gate, x: Tensor) -> Tensor:
    halves = (mlp.fc1_g(x), mlp.fc1_x(x)) if isinstance(mlp, SwiGLU) else mlp.fc1(x).chunk(2, dim=-1)
    return mlp.fc2(gate(*halves))


def first_half(gates: Tensor, values: Tensor) -> Tensor:
    return functional.silu(gates) * values


def second_half(gates: Tensor, values: Tensor) -> Tensor:
    return gates * functional.silu(values)


def both_halves(gates: Tensor, values: Tensor) -> Tensor:
    return functional.silu(gates) * functional.silu(values)


def quick(gates: Tensor, values: Tensor) -> Tensor:
    return swish(gates, slope=1.702) * values


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("layer", [GluMlp, SwiGLU])
def test_gates_are_the_first_half(layer: type[nn.Module], exporter: str, tmp_path: Path) -> None:
    path = export(Gated(layer, first_half), tmp_path / "w.onnx", exporter, (20, 20))
    loaded = load_model(path, device="cpu")
    assert loaded.spec.mlp == "swiglu"
    assert_computes(loaded, path, (20, 20), lambda outputs: outputs[0])


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("layer", [GluMlp, SwiGLU])
@pytest.mark.parametrize("gate", [second_half, both_halves, quick])
def test_other_gates_are_refused(gate: Gate, layer: type[nn.Module], exporter: str, tmp_path: Path) -> None:
    path = export(Gated(layer, gate), tmp_path / "w.onnx", exporter, (20, 20))
    with pytest.raises(CheckpointError, match=r"its MLPs? (has the activation .*Sigmoid|must all have one activation)"):
        load_model(path, device="cpu")
