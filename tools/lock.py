"""Write requirements.lock and requirements-dev.lock: the newest versions that pyproject.toml allows, exactly.

Run by `make lock`, on Linux x86-64, where the resolution is the largest. pip resolves; nothing is installed.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
HEADER = "# Exact versions of {what}. Made by `make lock`; do not edit.\n"
# PyTorch's CUDA packages exist only where PyTorch is built for them.
ACCELERATOR = ("cuda-", "nvidia-", "triton")
MARKER = ' ; sys_platform == "linux" and platform_machine == "x86_64"'


def main() -> None:
    """Pass pip's options, such as `-c FILE` to hold versions back."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    run_requirements = [*project["dependencies"], *extras["dashboard"], *extras["text"]]
    run = resolve(run_requirements, options=sys.argv[1:])
    write(RUN, run, what="all that runs")
    dev = resolve([*run_requirements, *extras["dev"]], options=[*sys.argv[1:], "-c", str(RUN)])
    write(DEV, dev - run, what="what tests and lint need on top of requirements.lock")


def resolve(requirements: list[str], *, options: list[str]) -> set[tuple[str, str]]:
    """(name, version) of everything that these requirements bring."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    report = subprocess.run([*command, *options, *requirements], check=True, stdout=subprocess.PIPE, text=True).stdout
    packages = [package["metadata"] for package in json.loads(report)["install"]]
    return {(package["name"].lower().replace("_", "-"), package["version"]) for package in packages}


def write(path: Path, packages: set[tuple[str, str]], *, what: str) -> None:
    lines = [f"{name}=={version}{MARKER if name.startswith(ACCELERATOR) else ''}\n" for name, version in packages]
    path.write_text(HEADER.format(what=what) + "".join(sorted(lines)))


if __name__ == "__main__":
    main()
