"""pyproject.toml, requirements.txt and the locks say the same; make opens the dashboard only where it is told to."""

import os
import subprocess
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
    project = {str(Requirement(line)) for line in [*PROJECT["dependencies"], *EXTRAS["dashboard"], *EXTRAS["text"]]}
    assert {str(requirement) for requirement in read("requirements.txt")} == project


@pytest.mark.parametrize(
    ("wanted", "locks"),
    [
        ([*PROJECT["dependencies"], *EXTRAS["dashboard"], *EXTRAS["text"]], ["requirements.lock"]),
        (EXTRAS["dev"], ["requirements.lock", "requirements-dev.lock"]),
    ],
)
def test_locks_hold_every_requirement_in_its_range(wanted: list[str], locks: list[str]) -> None:
    locked = {canonicalize_name(pin.name): str(pin.specifier) for lock in locks for pin in read(lock)}
    for requirement in map(Requirement, wanted):
        version = locked[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"


@pytest.mark.parametrize(
    ("environment", "arguments", "address"),
    [
        ({}, [], "localhost"),
        ({"HOST": "x86_64-conda-linux-gnu"}, [], "localhost"),
        ({"HOST": "workstation.example.org"}, [], "localhost"),
        ({"HOST": "0.0.0.0"}, [], "0.0.0.0"),
        ({"HOST": "workstation.example.org"}, ["HOST=vit.example.org"], "vit.example.org"),
    ],
)
def test_a_name_that_a_shell_has_for_this_machine_does_not_open_the_dashboard(
    environment: dict[str, str], arguments: list[str], address: str
) -> None:
    """tcsh and conda's compilers set HOST, too."""
    variables = {name: value for name, value in os.environ.items() if name not in {"HOST", "MAKEFLAGS", "MFLAGS"}}
    command = ["make", "--dry-run", "--always-make", *arguments, "run"]
    done = subprocess.run(command, cwd=ROOT, env=variables | environment, capture_output=True, text=True, check=True)
    assert f"--server.address {address} " in done.stdout
