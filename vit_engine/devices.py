"""Which device is meant, and whether PyTorch can use it."""

import torch
from torch import Tensor

from vit_engine.errors import SpecError


def named_device(device: str | torch.device) -> torch.device:
    """The device of this name; "auto" is a GPU if there is one. SpecError for what is no device of PyTorch."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise SpecError(
            f"device must be 'auto' or a PyTorch device such as 'cpu' or 'cuda'; got {device!r}."
        ) from error


def usable_device(device: str | torch.device) -> torch.device:
    """As named_device; SpecError also where PyTorch cannot use the device on this machine."""
    chosen = named_device(device)
    try:
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SpecError(f"PyTorch cannot use device {str(device)!r} on this machine; use 'auto' or 'cpu'.") from error
    return chosen


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had: Python's, a GPU's, or PyTorch's on a CPU.

    The last is no error of its own: its allocator says so, in these words on Linux and macOS, and on Windows.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)


def widened(tensor: Tensor) -> Tensor:
    """In float64, so that scores of any size keep their differences; on MPS, which has none, in float32."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()
