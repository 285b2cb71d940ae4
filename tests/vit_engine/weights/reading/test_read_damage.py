"""Whatever is done to the bytes of a file, it is a model or a CheckpointError that names it."""

import argparse
import functools
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vit_engine.weights.fixtures_states import prefixed, saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import inspect_checkpoint


@functools.cache
def whole(name: str, folder: Path) -> bytes:
    state = vit_state(depth=1)
    content = {"teacher": prefixed(state, "backbone."), "args": argparse.Namespace(arch="vit_small"), "epoch": 3}
    if name.endswith(".old"):
        torch.save(content, folder / name, _use_new_zipfile_serialization=False)
    else:
        saved(folder / name, state if name.endswith(".safetensors") else content)
    return (folder / name).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


# Mostly at the beginning or the end, where names and lengths are, and not in the weights.
PLACES = st.one_of(st.integers(0, 2500), st.integers(-2500, -1), st.integers(0, 100_000))
CHANGES = st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=4)


@pytest.mark.parametrize("name", ["w.pth", "w.old", "w.safetensors"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, kept=st.one_of(st.none(), st.integers(0, 20_000)))
def test_damage_of_any_kind(folder: Path, name: str, changes: list[tuple[int, int]], kept: int | None) -> None:
    data = bytearray(whole(name, folder))
    for place, value in changes:
        data[place % len(data)] = value
    path = folder / f"damaged_{name}"
    path.write_bytes(data[:kept])
    try:
        found = inspect_checkpoint(path, heads=3)
    except CheckpointError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        assert found.architecture.dim == 12
