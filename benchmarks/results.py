"""What was measured: every single run, and the machine it ran on."""

import hashlib
import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import vit_engine
from benchmarks.plan import Job

PACKAGES = ("torch", "timm", "transformers", "numpy")
JOB_FIELDS = tuple(each.name for each in fields(Job))


@dataclass(frozen=True)
class Spread:
    """The median of some runs, the least and the most of them, and how many they were."""

    median: float
    least: float
    most: float
    runs: int


@dataclass
class Results:
    """machine: what describe_machine() says. runs: the fields of the Job, cpu_seconds, wall_seconds, bytes."""

    machine: dict[str, Any]
    runs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Results":
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """A line a run. The file is replaced as a whole, so that a kill in between leaves the last one."""
        lines = ",\n".join(json.dumps(run) for run in self.runs)
        beside = path.with_suffix(".part")
        text = f'{{"machine": {json.dumps(self.machine)},\n"runs": [\n{lines}\n]}}\n'
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)

    def add(self, job: Job, measurement: dict[str, float]) -> None:
        self.runs.append(asdict(job) | measurement)

    def done(self) -> set[Job]:
        return {Job(**{name: run[name] for name in JOB_FIELDS}) for run in self.runs}

    def spread(self, unit: str, job: Job) -> Spread | None:
        """Over all runs of this job, whichever run it names; None where there is none."""
        where = {name: value for name, value in asdict(job).items() if name != "run"}
        values = [run[unit] for run in self.runs if where.items() <= run.items()]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def median(self, unit: str, job: Job) -> float | None:
        spread = self.spread(unit, job)
        return None if spread is None else spread.median

    def ratio(self, unit: str, job: Job, to: Job) -> float | None:
        """Of the medians; None where either is missing."""
        above, below = self.median(unit, job), self.median(unit, to)
        return None if above is None or not below else above / below


def describe_machine() -> dict[str, Any]:
    """And the engine; the date is that of the day on which the first run began."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "engine": _engine(),
    }


def _engine() -> str:
    """A fingerprint of the engine's source: runs of different code do not belong together."""
    sources = sorted(Path(vit_engine.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
