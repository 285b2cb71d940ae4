"""Results as if measured."""

from dataclasses import replace

from benchmarks.plan import Job
from benchmarks.results import Results

MACHINE = {
    "date": "2026-02-03",
    "cpu": "Abacus 9",
    "cores": 3,
    "memory_bytes": 5 * 2**30,
    "system": "Linux x86_64",
    "python": "3.11.1",
    "torch": "2.1",
    "timm": "1.2",
    "transformers": "5.6",
    "numpy": "2.3",
    "engine": "0123456789abcdef",
}
MIB = 2**20


def results_of(*rows: tuple[Job, list[float], list[float], list[float]]) -> Results:
    """From jobs with the CPU seconds, wall seconds and MiB of each of their runs."""
    results = Results(dict(MACHINE))
    for job, *units in rows:
        for number, (cpu, wall, mib) in enumerate(zip(*units, strict=True)):
            measured = {"cpu_seconds": cpu, "wall_seconds": wall, "bytes": mib * MIB}
            results.add(replace(job, run=number), measured)
    return results
