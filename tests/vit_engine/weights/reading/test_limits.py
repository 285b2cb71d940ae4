"""What tensors claim is held to what their file has, and to the memory budget, before anything is copied."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.vit_engine.weights.fixtures_states import assert_same, saved, vit_state
from vit_engine.errors import CheckpointError, ResourceError
from vit_engine.resources.budget import BUDGET_VARIABLE
from vit_engine.weights import inspect_checkpoint, load_model
from vit_engine.weights.reading import limits
from vit_engine.weights.reading.limits import check_names, check_tensors_within_limit
from vit_engine.weights.reading.read import read_checkpoint

MEBI = 1 << 20


@pytest.mark.parametrize(
    ("tensors", "claimed"),
    [
        # 1 MiB of values; nothing is refused that claims no more than 64 MiB.
        ({"a": torch.zeros(MEBI // 4).expand(65, MEBI // 4)}, 65 * MEBI),
        ({"a": torch.zeros(1).expand(20 * MEBI)}, 80 * MEBI),
        ({"a": torch.zeros(1, dtype=torch.half).expand(20 * MEBI)}, 80 * MEBI),
        ({"a": torch.zeros(1, dtype=torch.double).expand(20 * MEBI)}, 160 * MEBI),
        ({"a": torch.zeros(10_000).as_strided((5000, 5000), (1, 1))}, 100_000_000),
        ({f"{each}": torch.zeros(0) for each in range(3)} | {"a": torch.zeros(1).expand(17 * MEBI)}, 68 * MEBI),
    ],
)
def test_values_that_are_repeated_beyond_measure_are_refused(tensors: dict[str, Tensor], claimed: int) -> None:
    with pytest.raises(CheckpointError, match=rf"its tensors claim {claimed:,} bytes as float32, and the values"):
        check_tensors_within_limit(tensors)


WHOLE = torch.zeros(8 * MEBI)  # 32 MiB


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": torch.zeros(1).expand(16 * MEBI)},
        {f"{each}": WHOLE for each in range(4)},
        {"a": torch.zeros(8 * MEBI, dtype=torch.half), "b": WHOLE.half()[::2]},
        {"a": torch.zeros(17 * MEBI, dtype=torch.uint8)},
        {"a": WHOLE.view(1024, -1).t(), "b": WHOLE.view(2, -1)},
        {"a": torch.nn.Parameter(WHOLE.clone(), requires_grad=False)},
    ],
)
def test_tied_strided_and_narrow_tensors_are_taken(tensors: dict[str, Tensor]) -> None:
    check_tensors_within_limit(tensors)


def test_a_small_tensor_that_repeats_a_value_is_loaded(tmp_path: Path) -> None:
    state = vit_state() | {"norm.bias": torch.full((1,), 0.5).expand(12)}
    loaded = load_model(saved(tmp_path / "w.pth", state), heads=3, device="cpu").model
    assert_same(loaded.state_dict(), {**vit_state(), "norm.bias": torch.full((12,), 0.5)})


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_over_the_memory_budget_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / name, {"a": torch.zeros(MEBI)})
    monkeypatch.setenv(BUDGET_VARIABLE, "4MB")
    for read in (read_checkpoint, load_model, inspect_checkpoint):
        with pytest.raises(
            ResourceError, match=rf"{name} has 4\.(19|20) MB, and loading may take 4\.00 MB, the memory budget"
        ):
            read(path)


def test_tensors_that_are_larger_as_float32_are_held_to_the_memory_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "w.pth", {"a": torch.zeros(3 * MEBI // 2, dtype=torch.half)})
    monkeypatch.setenv(BUDGET_VARIABLE, "4MB")
    with pytest.raises(ResourceError, match=r"w\.pth: its tensors have 6\.29 MB, and loading may take 4\.00 MB"):
        load_model(path, heads=1)


def refusing(*_: object, **__: object) -> None:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize(
    "where",
    [
        "vit_engine.weights.reading.torch_zip._Records._read",
        "vit_engine.weights.formats.dino.FORMAT.convert",
        "vit_engine.weights.convert.Converted._tensors",
    ],
)
def test_an_allocation_that_fails_is_a_resource_error(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "w.pth", vit_state())
    if where.endswith("FORMAT.convert"):
        monkeypatch.setattr("vit_engine.weights.conversion.Conversion.drop", refusing)
    else:
        monkeypatch.setattr(where, refusing)
    with pytest.raises(ResourceError, match=r"not enough memory to load .*w\.pth\. Free some, or load a smaller"):
        load_model(path, heads=3, device="cpu")


def test_memory_that_python_lacks_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise MemoryError

    path = saved(tmp_path / "w.safetensors", vit_state())
    monkeypatch.setattr("vit_engine.weights.reading.safetensors_file._tensor", lacking)
    with pytest.raises(ResourceError, match=r"not enough memory to load .*w\.safetensors"):
        inspect_checkpoint(path, heads=3)


def test_names_are_bounded_in_number_and_length() -> None:
    check_names([f"{each:0500}" for each in range(limits.MOST_TENSORS)])
    with pytest.raises(CheckpointError, match=r"it has 20,001 tensors; at most 20,000 are read"):
        check_names([str(each) for each in range(20_001)])
    for name, shown in (("x" * 501, "got 501, 'xxx"), ("a\nb", "got 3, 'a\\nb'"), ("a\u202eb", "got 3, 'a\\u202eb'")):
        with pytest.raises(CheckpointError, match="at most 500 printable characters") as refusal:
            check_names([name])
        assert shown in str(refusal.value)
