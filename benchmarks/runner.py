"""Runs jobs, each in a process of its own, and writes down what they measure as it comes in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.plan import Job
from benchmarks.results import Results

ROOT = Path(__file__).parent.parent


def run_all(jobs: Sequence[Job], results: Results, *, path: Path | None) -> None:
    """Adds every job that the results do not have yet. path: where they are written after each run; None: nowhere.

    Raises SystemExit, naming the job, where a run fails.
    """
    done = results.done()
    with tqdm(jobs, unit="run", dynamic_ncols=True) as progress:
        for job in _showing(progress):
            if job in done:
                continue
            results.add(job, run_apart(job))
            if path is not None:
                results.write(path)


def _showing(progress: "tqdm[Job]") -> Iterator[Job]:
    for job in progress:
        progress.set_postfix_str(str(job))
        yield job


def run_apart(job: Job) -> dict[str, float]:
    """The job's measurement, from a process of its own."""
    options = ["--threads", str(job.threads), "--pictures", str(job.pictures)]
    command = [sys.executable, "-m", "benchmarks.measure", job.contender, job.model, str(job.size), *options]
    variables = environment(job.threads)
    done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        # −9: the system killed it, most likely because memory ran out.
        status = f"{job} failed with exit status {done.returncode}."
        raise SystemExit(f"{status} What was measured is kept: go on with --resume.")
    return json.loads(done.stdout)


def environment(threads: int) -> dict[str, str]:
    """As many threads everywhere, and no library looks for anything on the internet."""
    counts = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
    return {**os.environ, **counts, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
