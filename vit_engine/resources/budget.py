"""How much memory a run may take: what the user says, or most of what is free."""

import os
import re
from decimal import Decimal

import psutil
import torch

from vit_engine.devices import usable_device
from vit_engine.errors import SpecError
from vit_engine.resources.cgroup import cgroup_free

BUDGET_VARIABLE = "VIT_ENGINE_MEMORY_BUDGET"
FRACTION = 0.8  # of what is free: the rest is for what others, and the page around a run, take meanwhile
_DECIMAL = {f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))}
_BINARY = {f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)}
_UNITS = {"": 1} | _DECIMAL | _BINARY


def memory_budget(device: str | torch.device = "cpu") -> int:
    """Bytes that a run on this device may take.

    The environment variable VIT_ENGINE_MEMORY_BUDGET where it is set: bytes, or a number with a unit,
    such as "2GB" or "1.5 GiB". Otherwise FRACTION of what is free now: on a CPU the smaller of what
    the machine has available and what the control groups leave, on a GPU what its driver and PyTorch's
    own allocator have free. Nothing is reserved: runs side by side each see what is free now. Raises
    SpecError for a variable that says no number of bytes, or a device that PyTorch cannot use here.
    """
    text = os.environ.get(BUDGET_VARIABLE, "").strip()
    return _parse(text) if text else int(FRACTION * _free(usable_device(device)))


def _free(device: torch.device) -> int:
    """Bytes; for a kind of device that is not known here, those of the machine."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    available = psutil.virtual_memory().available
    left = cgroup_free()
    return available if left is None else min(available, left)


def _parse(text: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)", text.lower())
    size = int(Decimal(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
    if size < 1:
        raise SpecError(
            f"{BUDGET_VARIABLE} must be a number of bytes of at least 1, alone or with one of the units B, kB, MB, GB, "
            f"TB, KiB, MiB, GiB, TiB; got {text!r}. Set it to, say, '2GB' or '1.5 GiB', or leave it unset for "
            f"{FRACTION:.0%} of what is free."
        )
    return size


def format_bytes(size: int) -> str:
    """Bytes for people, to three digits: "38.4 MB", "1.46 GB"."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    decimals = 0 if unit == "B" or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{decimals}f} {unit}"
