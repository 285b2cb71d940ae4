"""Runs jobs, each in a process of its own, and writes down what they measure as it comes in."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tqdm import tqdm

import vit_engine as ve
from benchmarks.measure import Measurement, measure
from benchmarks.plan import Job, matrix_bytes
from benchmarks.results import Results

ROOT = Path(__file__).parent.parent
LIBRARIES = ("timm.models", "timm.utils", "transformers.models.vit.modeling_vit")
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}  # no library looks for anything on the internet


def run_all(jobs: Sequence[Job], results: Results, *, path: Path | None) -> None:
    """Adds every job that the results do not have yet and whose matrices fit into memory.

    path: where they are written after each run; None: nowhere. Raises SystemExit, naming the job, where a run fails.
    """
    done = results.done()
    with tqdm(jobs, unit="run", dynamic_ncols=True) as progress:
        for job in _showing(progress):
            if job in done or not fits(job):
                continue
            results.add(job, run_apart(job))
            if path is not None:
                results.write(path)


def _showing(progress: "tqdm[Job]") -> Iterator[Job]:
    for job in progress:
        progress.set_postfix_str(str(job))
        yield job


def fits(job: Job) -> bool:
    """Whether the matrices take no more than a run may take of the memory that is free; True for runs without them."""
    return matrix_bytes(job.contender, job.model, job.size) <= ve.memory_budget("cpu")


def run_apart(job: Job) -> Measurement:
    """The job's measurement, from a process of its own; it starts with the libraries imported and nothing run."""
    try:
        with ProcessPoolExecutor(1, mp_context=_forks()) as process:
            return process.submit(
                measure, job.contender, job.model, job.size, threads=job.threads, pictures=job.pictures
            ).result()
    except BrokenProcessPool as error:  # the system killed it, most likely because memory ran out
        raise SystemExit(f"{job} was killed. What was measured is kept: go on with --resume.") from error


@lru_cache(maxsize=1)
def _forks() -> ForkServerContext:
    """Processes fork from one that has imported everything: an import takes longer than most runs."""
    os.environ |= ENVIRONMENT
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.measure", *LIBRARIES])
    return context
