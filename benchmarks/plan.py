"""What is measured, in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vit_engine.registry import find_model


@dataclass(frozen=True)
class Job:
    """One run of one contender, in a process of its own. size: the side of square pictures, in pixels."""

    contender: str
    model: str
    size: int
    threads: int = 1
    pictures: int = 1
    run: int = 0

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        batch = "" if self.pictures == 1 else f", {self.pictures} pictures"
        return f"{self.contender}, {label(self.model)} at {self.size}{batch}, {threads}, run {self.run}"


@dataclass(frozen=True)
class Case:
    """A model at a size, the contenders that meet there, and how many runs each of them has."""

    model: str
    size: int
    contenders: tuple[str, ...]
    runs: int

    @property
    def tokens(self) -> int:
        return tokens(self.model, self.size)

    def __str__(self) -> str:
        return f"{label(self.model)} at {self.size}×{self.size}"


S16, S8, B16 = "random_vit_small_p16", "random_vit_small_p8", "random_vit_base_p16"
ALL = ("limit", "ours", "entropy", "explicit", "last", "timm", "transformers")
LINEAR = ("limit", "ours", "entropy")  # at 10,001 tokens, 12 layers of matrices are 29 GB

# A tenth of a second varies more from run to run than ten seconds do.
CASES = (
    Case(S16, 224, ALL, runs=11),
    Case(S8, 224, (*ALL, "ours_last_layer", "ours_first_layer"), runs=7),
    Case(S8, 480, ALL, runs=5),
    Case(B16, 224, ALL, runs=5),
    Case(B16, 480, ALL, runs=5),
    Case(S8, 800, LINEAR, runs=5),
)
QUICK = (Case(S16, 224, ALL, runs=3), Case(S8, 224, ALL, runs=3), Case(S8, 480, ALL, runs=1))
TWO_THREADS = CASES[:3]  # where the bars are
BATCH, BATCH_PICTURES = Case(S16, 224, ("limit", "ours", "entropy"), runs=5), 8
CLICK = Case(S8, 480, ("click",), runs=5)
# From a model and a picture to a map: ours, and with N×N matrices.
OURS_AND_EXPLICIT = {name: f"{name}_explicit" for name in ("rollout", "relevance", "legrad", "grad_cam")}
METHODS = ("limit", *OURS_AND_EXPLICIT, "rollout_from_trace", *OURS_AND_EXPLICIT.values())
METHOD_CASES = (Case(S16, 224, METHODS, runs=5), Case(S8, 480, METHODS, runs=3))
# How many N×N matrices explicit implementations hold at once, of each head of each layer: A, or A and ∇A.
MATRICES = {"rollout_explicit": 1, "relevance_explicit": 2, "legrad_explicit": 1}
# 14, 20, 28, 40, 60, 80 and 100 patches a side. The matrices of 6,401 tokens would be 12 GB.
GROWTH = ("limit", "ours", "explicit")
GROWTH_SIZES, GROWTH_EXPLICIT = (112, 160, 224, 320, 480, 640, 800), 480


def label(model: str) -> str:
    """ "ViT-S/8" of "random_vit_small_p8"."""
    return find_model(model).title.removeprefix("Random ")


def tokens(model: str, size: int) -> int:
    spec = find_model(model)
    return spec.prefix + (size // spec.patch_size) ** 2


def full() -> list[Job]:
    """Every run of the whole benchmark, once."""
    jobs = [job for case in CASES for job in turns(case)]
    jobs += turns(BATCH, pictures=BATCH_PICTURES)
    jobs += turns(CLICK)
    jobs += growth()
    jobs += [job for case in TWO_THREADS for job in turns(case, threads=(2,))]
    return list(dict.fromkeys(jobs))  # some runs serve two tables


def methods() -> list[Job]:
    """Every run of the benchmark of methods, once."""
    return [job for case in METHOD_CASES for job in turns(case)]


def quick() -> list[Job]:
    """Only what the bars of attention need, in few runs."""
    return [job for case in (*QUICK, replace(CLICK, runs=1)) for job in turns(case)]


def quick_methods() -> list[Job]:
    """Only what the bars of methods need, in few runs."""
    ours = tuple(name for name in METHODS if name not in OURS_AND_EXPLICIT.values())
    return list(turns(replace(METHOD_CASES[-1], contenders=ours, runs=1)))


def matrix_bytes(contender: str, model: str, size: int) -> int:
    """What an explicit implementation holds at least, in matrices of float32; 0 for contenders without them."""
    spec = find_model(model)
    return MATRICES.get(contender, 0) * spec.depth * spec.heads * tokens(model, size) ** 2 * 4


def turns(case: Case, *, threads: Sequence[int] = (1,), pictures: int = 1) -> Iterator[Job]:
    """A B C A B C: what slows the machine down for a while meets all contenders alike."""
    for count in threads:
        for run in range(case.runs):
            for contender in case.contenders:
                yield Job(contender, case.model, case.size, threads=count, pictures=pictures, run=run)


def growth() -> Iterator[Job]:
    """One run at every number of tokens, of each contender that fits into memory there."""
    for size in GROWTH_SIZES:
        for contender in GROWTH:
            if contender != "explicit" or size <= GROWTH_EXPLICIT:
                yield Job(contender, S8, size)
