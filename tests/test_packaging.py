"""pyproject.toml, requirements.txt and the locks say the same."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def test_requirements_are_those_of_the_project() -> None:
    project = {str(Requirement(line)) for line in [*PROJECT["dependencies"], *EXTRAS["dashboard"]]}
    assert {str(requirement) for requirement in read("requirements.txt")} == project


@pytest.mark.parametrize(
    ("wanted", "locks"),
    [
        ([*PROJECT["dependencies"], *EXTRAS["dashboard"]], ["requirements.lock"]),
        (EXTRAS["dev"], ["requirements.lock", "requirements-dev.lock"]),
    ],
)
def test_locks_hold_every_requirement_in_its_range(wanted: list[str], locks: list[str]) -> None:
    locked = {canonicalize_name(pin.name): str(pin.specifier) for lock in locks for pin in read(lock)}
    for requirement in map(Requirement, wanted):
        version = locked[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"
