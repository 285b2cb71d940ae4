"""Devices by name: what "auto" is, and what is refused."""

import pytest
import torch

from vit_engine.devices import named_device, usable_device
from vit_engine.errors import SpecError


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_if_there_is_one(available: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert named_device("auto") == torch.device(kind)


def test_a_device_can_be_named_without_being_there() -> None:
    assert named_device("cuda:7") == torch.device("cuda", 7)
    assert usable_device(torch.device("cpu")) == torch.device("cpu")


def test_what_is_no_device_is_refused() -> None:
    with pytest.raises(SpecError, match=r"device must be 'auto' or a PyTorch device .*; got 'quantum'"):
        usable_device("quantum")


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, NotImplementedError])
def test_a_device_that_is_not_there_is_refused(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> torch.Tensor:
        raise error("none here")

    monkeypatch.setattr(torch, "empty", absent)
    with pytest.raises(SpecError, match="cannot use device 'cuda' on this machine; use 'auto' or 'cpu'"):
        usable_device("cuda")
