"""What a run may take: the user's word, or a fraction of what is free, whoever limits it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vit_engine as ve
from vit_engine.resources import budget
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes
from vit_engine.resources.cgroup import cgroup_free

GIB = 1 << 30
V1_NO_LIMIT = 9223372036854771712
Group = Callable[..., Path]


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BUDGET_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("2000000000", 2_000_000_000),
        ("17 B", 17),
        ("3kB", 3_000),
        ("3 KiB", 3_072),
        ("512MiB", 536_870_912),
        ("7mb", 7_000_000),
        ("2GB", 2_000_000_000),
        ("  1.5 GiB ", 1_610_612_736),
        (".5 TiB", 549_755_813_888),
        ("2.TB", 2_000_000_000_000),
    ],
)
def test_the_variable_says_the_budget(text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, text)
    assert ve.memory_budget() == ve.memory_budget("cuda:3") == expected


@given(
    st.integers(1, 10**18), st.sampled_from([("", 1), ("kB", 10**3), ("MiB", 2**20), ("gib", 2**30), ("TB", 10**12)])
)
def test_whole_numbers_are_taken_exactly(count: int, unit: tuple[str, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUDGET_VARIABLE, f"{count} {unit[0]}")
        assert ve.memory_budget() == count * unit[1]


@pytest.mark.parametrize(
    "text",
    ["much", "0", "0.4 B", "-1", "-2GB", "2 GB RAM", "1e9", "GB", "1,5 GB", "1.2.3", "٣ GB", "2 PB", "nan", "inf", "."],
)
def test_a_variable_that_says_no_bytes_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, text)
    with pytest.raises(ve.SpecError) as caught:
        ve.memory_budget()
    message = str(caught.value)
    assert message.startswith(f"{BUDGET_VARIABLE} must be a number of bytes")
    assert f"got {text!r}" in message
    assert all(unit in message for unit in ("kB", "GB", "GiB", "TiB"))


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_no_budget(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, text)
    _machine(monkeypatch, available=10 * GIB, left=None)
    assert ve.memory_budget() == 8 * GIB


def _machine(monkeypatch: pytest.MonkeyPatch, *, available: int, left: int | None) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available, free=available // 3))
    monkeypatch.setattr(budget, "cgroup_free", lambda: left)


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(("available", "left", "free"), [(10, None, 10), (10, 5, 5), (5, 10, 5), (10, 0, 0)], ids=str)
def test_on_a_cpu_it_is_four_fifths_of_the_smaller_of_machine_and_groups(
    available: int, left: int | None, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _machine(monkeypatch, available=available * GIB, left=None if left is None else left * GIB)
    assert ve.memory_budget("cpu") == ve.memory_budget() == free * GIB * 4 // 5


@pytest.mark.usefixtures("unset")
def test_on_this_machine_there_is_some() -> None:
    assert 0 < ve.memory_budget() <= psutil.virtual_memory().total


@pytest.mark.usefixtures("unset")
def test_on_a_gpu_memory_that_pytorch_holds_unused_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "usable_device", torch.device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 7 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * GIB)
    assert ve.memory_budget("cuda") == 15 * GIB * 4 // 5


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(("held", "free"), [(5, 15), (30, 0)])
def test_on_apple_silicon_it_is_what_the_driver_recommends(
    held: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "usable_device", torch.device)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 20 * GIB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: held * GIB)
    assert ve.memory_budget("mps") == free * GIB * 4 // 5


@pytest.mark.usefixtures("unset")
def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(ve.SpecError, match="'quantum'"):
        ve.memory_budget("quantum")


def group(folder: Path, *, limit: str, usage: int, cache: int = 0, version: int = 2) -> None:
    """One control group's files, as the kernel writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, usage), strict=True):
        (folder / name).write_text(f"{value}\n")
    kinds = ("inactive_file", "active_file", "slab_reclaimable")[: 3 if version == 2 else 2]
    counts = {"anon": 12, "slab_unreclaimable": 5, **dict.fromkeys(kinds, 3 if version == 1 else 0)}
    total = "total_" if version == 1 else ""  # version 1 has the group's own, of 3 bytes here, besides the totals
    counts |= {
        f"{total}{kind}": cache // len(kinds) + (cache % len(kinds) if kind == kinds[0] else 0) for kind in kinds
    }
    (folder / "memory.stat").write_text("".join(f"{name} {count}\n" for name, count in counts.items()))


def membership(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "proc_self_cgroup"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_group_leaves_its_limit_less_its_use_but_for_the_cache(tmp_path: Path) -> None:
    group(tmp_path / "user" / "job", limit="1000", usage=700, cache=50)
    assert cgroup_free(proc=membership(tmp_path, "0::/user/job"), mount=tmp_path) == 350


@pytest.mark.parametrize(("parent", "child"), [("600", "1000"), ("600", "max"), ("1000", "600")])
def test_the_strictest_of_a_group_and_its_parents_counts(parent: str, child: str, tmp_path: Path) -> None:
    group(tmp_path / "slice", limit=parent, usage=500)
    group(tmp_path / "slice" / "job" / "step", limit=child, usage=500)
    assert cgroup_free(proc=membership(tmp_path, "0::/slice/job/step"), mount=tmp_path) == 100


def test_a_group_that_is_no_parent_does_not_count(tmp_path: Path) -> None:
    group(tmp_path / "other", limit="10", usage=0)
    group(tmp_path / "job" / "child", limit="10", usage=0)
    group(tmp_path / "job", limit="900", usage=0)
    assert cgroup_free(proc=membership(tmp_path, "0::/job"), mount=tmp_path) == 900


@pytest.mark.parametrize("path", ["/", "/docker/0123abcd", "/../outside"])
def test_in_a_container_the_root_holds_the_limit(path: str, tmp_path: Path) -> None:
    """The path is the host's: its folders are not there, and what lies above the root is no group."""
    mount = tmp_path / "mount"
    group(mount, limit="2000", usage=500)
    group(tmp_path, limit="1", usage=0)
    group(tmp_path / "outside", limit="1", usage=0)
    assert cgroup_free(proc=membership(tmp_path, f"0::{path}"), mount=mount) == 1500


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    group(tmp_path, limit="100", usage=130, cache=10)
    assert cgroup_free(proc=membership(tmp_path, "0::/"), mount=tmp_path) == 0


def test_version_1_has_a_hierarchy_for_memory(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    group(memory, limit=str(V1_NO_LIMIT), usage=10, version=1)
    group(memory / "a", limit="700", usage=300, cache=20, version=1)
    group(memory / "a" / "b", limit=str(V1_NO_LIMIT), usage=200, version=1)
    group(memory / "c", limit="5", usage=1, version=1)
    lines = ("5:devices:/c", "4:cpuset,memory:/a/b", "1:name=systemd:/c", "0::/c")
    assert cgroup_free(proc=membership(tmp_path, *lines), mount=tmp_path) == 420


@pytest.mark.parametrize(("version", "limit"), [(2, "max"), (1, str(V1_NO_LIMIT)), (2, str(1 << 60))])
def test_no_limit_is_none(version: int, limit: str, tmp_path: Path) -> None:
    group(tmp_path / "memory" if version == 1 else tmp_path, limit=limit, usage=10, version=version)
    line = "0::/" if version == 2 else "9:memory:/"
    assert cgroup_free(proc=membership(tmp_path, line), mount=tmp_path) is None


def test_where_there_are_no_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cgroup_free(proc=tmp_path / "missing", mount=tmp_path) is None
    assert cgroup_free(proc=membership(tmp_path, "0::/job"), mount=tmp_path) is None


def test_without_statistics_no_cache_is_given_back(tmp_path: Path) -> None:
    group(tmp_path, limit="100", usage=40, cache=30)
    (tmp_path / "memory.stat").unlink()
    assert cgroup_free(proc=membership(tmp_path, "0::/"), mount=tmp_path) == 60


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (9_994_999, "9.99 MB"),
        (9_995_000, "10.0 MB"),
        (99_950_000, "100 MB"),
        (1_531_000_000, "1.53 GB"),
        (1_234_567_000_000_000, "1,235 TB"),
    ],
)
def test_bytes_for_people(size: int, text: str) -> None:
    assert format_bytes(size) == text
