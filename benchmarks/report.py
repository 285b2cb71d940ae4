"""Results as Markdown: RESULTS.md, which has everything, and the block in the README, which is short."""

from collections.abc import Sequence

from benchmarks.bars import MIB, Bar, bars, method_bars
from benchmarks.plan import (
    B16,
    BATCH,
    BATCH_PICTURES,
    CASES,
    CLICK,
    GROWTH,
    GROWTH_SIZES,
    MATRICES,
    METHOD_CASES,
    OURS_AND_EXPLICIT,
    S8,
    S16,
    Case,
    Job,
    label,
    matrix_bytes,
    tokens,
)
from benchmarks.results import Results, Spread
from vit_engine.registry import find_model

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
MISSING = "–"
TITLES = {
    "limit": "plain forward pass, the limit",
    "ours": "`attend()`",
    "entropy": '`attend(statistics="entropy")`',
    "ours_last_layer": "`attend(layers=-1)`",
    "ours_first_layer": "`attend(layers=[0])`",
    "explicit": "DINO's attention, all matrices kept, then entropies",
    "last": "DINO's `get_last_selfattention`, last layer only",
    "timm": "timm `AttentionExtract`, matrices only",
    "transformers": "transformers `output_attentions`, matrices only",
    "rollout": "rollout",
    "rollout_from_trace": "rollout, from a trace",
    "relevance": "relevance",
    "legrad": "LeGrad",
    "grad_cam": "Grad-CAM",
    "rollout_explicit": "rollout, matrices kept and multiplied",
    "relevance_explicit": "relevance, matrices and autograd through them",
    "legrad_explicit": "LeGrad, matrices and autograd through them",
    "grad_cam_explicit": "Grad-CAM, by autograd",
}
PLOT_TEXT = "Seconds and memory against the number of tokens: attend(), a plain forward pass, and all matrices kept"
CPU, WALL, BYTES = "cpu_seconds", "wall_seconds", "bytes"
README_CONTENDERS = ("limit", "entropy", "ours", "explicit", "timm", "transformers", "last")
README_CASES = ((S8, 480), (S8, 224), (S16, 224), (B16, 480), (S8, 800))
README_TEXT = """\
What attention analysis costs: CPU time with one thread, as a multiple of that of a plain forward pass, which shows no
attention, and peak memory above the loaded model and the picture. `attend()` leaves the statistics of every layer and
head, and any query's map for a read. These models predict no class, so it ends in the last layer's attention; the
others run that layer to its end. Run `make bench` to measure it yourself.
[benchmarks/RESULTS.md](benchmarks/RESULTS.md) has all cases, two threads, and the bars that the project sets itself."""
INTRODUCTION = """\
# Benchmark

Written by `make bench` from [results.json](results.json), which has every single run. Random weights, the same in all
contenders, a picture of noise, float32 on the CPU. Each run is a process of its own, contenders take turns, and the
numbers are medians, with the least and the most behind them. Memory is the peak above the loaded model and the prepared
picture. Ratios are of medians, to the plain forward pass of the same case. Differences of a few percent are noise:
where most of the time goes elsewhere than into attention, a contender may come out below the limit.

These models predict no class, so `attend()` ends in the attention of the last layer that it is asked for; the others
run that layer to its end. In a model of 12 layers this is worth some 5 % of the plain forward pass. What is kept of the
attention is all there."""

METHODS_TEXT = """\
From the model and the picture to a map, by `explain()`, beside what the methods' own code does in plain PyTorch: the
matrices of all layers, and autograd through them. The target is the norm of the image embedding, since these models
predict no class. Relevance, LeGrad and Grad-CAM take a forward and a backward pass; a further map of the same target
takes neither."""
README_METHODS_TEXT = """\
What methods cost in the same unit, {case}, from the model and the picture to a map; beside it plain PyTorch with N×N
matrices and autograd through them:"""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first are aligned to the right."""
    marks = ["---", *("--:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, marks, *rows))


def full_report(results: Results, methods: Results | None = None) -> str:
    """The whole of RESULTS.md. What was not measured is left out or is a dash."""
    bar_rows = [*bars(results), *(method_bars(methods) if methods else ())]
    parts = [INTRODUCTION, machine_line(results), "## Bars", bars_table(bar_rows)]
    for case in CASES:
        if _measured(results, case):
            parts += [f"## {case}, {case.tokens:,} tokens", case_table(results, case)]
    if _measured(results, BATCH, pictures=BATCH_PICTURES):
        title = f"## {BATCH_PICTURES} pictures, {BATCH}: one after another beside the plain forward pass of the batch"
        parts += [title, case_table(results, BATCH, pictures=BATCH_PICTURES)]
    parts += methods_parts(methods)
    parts += [
        "## A click",
        click_line(results),
        "## Growth, one run each where no case above has more",
        f"![{PLOT_TEXT}](../docs/benchmark.svg)",
        growth_table(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def methods_parts(methods: Results | None) -> list[str]:
    """What methods cost, by case, and where the matrices did not fit how large they are."""
    if methods is None or not methods.runs:
        return ["## Methods", METHODS_TEXT, "Not measured."]
    parts = ["## Methods", METHODS_TEXT, machine_line(methods)]
    for case in METHOD_CASES:
        title = f"### {case}, {case.tokens:,} tokens"
        parts += [title, case_table(methods, case), *(without_room(methods, name, case) for name in MATRICES)]
    return parts


def without_room(results: Results, contender: str, case: Case) -> str:
    """How large the matrices of an explicit implementation are that was not run; empty where it was."""
    if results.spread(CPU, Job(contender, case.model, case.size)):
        return ""
    spec, matrices = find_model(case.model), MATRICES[contender]
    formula = f"{matrices} × {spec.depth} layers × {spec.heads} heads × {case.tokens:,}² × 4 bytes"
    held = "A and ∇A" if matrices > 1 else "A"
    size = matrix_bytes(contender, case.model, case.size) / MIB
    return f"Not measured: {TITLES[contender]}. {held} alone would take {formula}, {size:,.0f} MiB."


def machine_line(results: Results) -> str:
    machine = dict(results.machine)
    date, memory = machine.pop("date"), machine.pop("memory_bytes") / 2**30
    packages = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "timm", "transformers"))
    return f"{date}: {machine['cpu']}, {machine['cores']} cores, {memory:.0f} GiB, {machine['system']}; {packages}."


def bars_table(found: Sequence[Bar]) -> str:
    """Each bar with what was measured, and by how much it is met or missed."""
    rows = []
    for bar in found:
        bound = f"{'≥' if bar.at_least else '≤'} {_with_unit(bar.bound, bar.unit)}"
        rows.append((bar.what, bar.where, _with_unit(bar.value, bar.unit), bound, bar.verdict))
    return table(("", "case", "measured", "bar", ""), rows)


def _with_unit(value: float, unit: str) -> str:
    """ "1.234×", "1,234 MiB", "1.23 ms"."""
    return {"×": f"{value:.2f}×", "MiB": f"{value:,.0f} MiB", "ms": f"{value:.2f} ms", "kB": f"{value:,.0f} kB"}[unit]


def case_table(results: Results, case: Case, *, pictures: int = 1) -> str:
    """A row a contender: time with one thread, time with two where it was measured, memory with one."""
    both = [Job(name, case.model, case.size, threads=2, pictures=pictures) for name in case.contenders]
    two = all(results.spread(WALL, job) for job in both)
    columns = [(CPU, 1, "1 thread: CPU s"), *([(WALL, 2, "2 threads: wall s")] if two else []), (BYTES, 1, "MiB")]
    header = ["", *(cell for *_, title in columns for cell in (title, "× limit"))]
    rows = []
    for contender in case.contenders:
        cells = [TITLES[contender]]
        for unit, threads, _ in columns:
            job = Job(contender, case.model, case.size, threads=threads, pictures=pictures)
            limit = Job("limit", case.model, case.size, threads=threads, pictures=pictures)
            cells += [_spread(results.spread(unit, job), unit), _ratio(results.ratio(unit, job, limit))]
        rows.append(cells)
    return table(header, rows)


def _spread(spread: Spread | None, unit: str) -> str:
    """The median, and in parentheses the least and the most if there were several runs."""
    if spread is None:
        return MISSING
    numbers = [spread.median] if spread.runs == 1 else [spread.median, spread.least, spread.most]
    median, *ends = (f"{each / MIB:,.0f}" if unit == BYTES else _seconds(each) for each in numbers)
    return f"{median} ({'–'.join(ends)})" if ends else median


def _seconds(seconds: float) -> str:
    """Three digits, zeros too."""
    return f"{seconds:#.3g}".removesuffix(".")


def _ratio(ratio: float | None) -> str:
    return MISSING if ratio is None else f"{ratio:.2f}"


def click_line(results: Results) -> str:
    """What reading one query's rows from a trace takes."""
    seconds = results.median(WALL, Job("click", CLICK.model, CLICK.size))
    if seconds is None:
        return "Not measured."
    return (
        f"One query's rows, over all heads of a layer, from a trace of {CLICK}, {CLICK.tokens:,} tokens, one thread: "
        f"{seconds * 1e3:.2f} ms, {1 / seconds:,.0f} a second."
    )


def growth_table(results: Results) -> str:
    """ViT-S/8, one thread: seconds and MiB by number of tokens, where any contender was measured."""
    header = ["tokens", *(f"{name}: {unit}" for unit in ("CPU s", "MiB") for name in GROWTH)]
    rows = []
    for size in GROWTH_SIZES:
        jobs = [Job(name, S8, size) for name in GROWTH]
        cpu, extra = [results.median(CPU, job) for job in jobs], [results.median(BYTES, job) for job in jobs]
        seconds = [MISSING if each is None else _seconds(each) for each in cpu]
        memory = [MISSING if each is None else f"{each / MIB:,.0f}" for each in extra]
        if any(each is not None for each in cpu):
            rows.append([f"{tokens(S8, size):,}", *seconds, *memory])
    return table(header, rows)


def readme_block(results: Results, methods: Results | None = None) -> str:
    """A row a contender, a column a case: time as a multiple of the limit's, and memory; then the same of methods."""
    header = ["", *(f"{label(model)}, {size} px" for model, size in README_CASES)]
    rows = [
        [TITLES[contender], *(_readme_cell(results, contender, model, size) for model, size in README_CASES)]
        for contender in README_CONTENDERS
    ]
    caption, plot = f"Measured {machine_line(results)}", f"![{PLOT_TEXT}](docs/benchmark.svg)"
    return "\n\n".join([README_TEXT, table(header, rows), caption, *_readme_methods(methods), plot])


def _readme_methods(methods: Results | None) -> list[str]:
    """Ours beside explicit ones, in the largest case; nothing where nothing was measured."""
    if methods is None:
        return []
    case = METHOD_CASES[-1]
    rows = []
    for ours in (*OURS_AND_EXPLICIT, "rollout_from_trace"):
        explicit = OURS_AND_EXPLICIT.get(ours, "")
        ours_cell = _readme_cell(methods, ours, case.model, case.size)
        rows.append((TITLES[ours], ours_cell, _explicit_cell(methods, explicit, case)))
    text = README_METHODS_TEXT.format(case=f"{label(case.model)} at {case.size} px")
    return [text, table(("", "`explain()`", "explicit"), rows)]


def _explicit_cell(methods: Results, contender: str, case: Case) -> str:
    """As _readme_cell(); where it was not run, how large its matrices would be."""
    cell = _readme_cell(methods, contender, case.model, case.size)
    needed = matrix_bytes(contender, case.model, case.size)
    return f"over {needed / MIB:,.0f} MiB" if cell == MISSING and needed else cell


def _readme_cell(results: Results, contender: str, model: str, size: int) -> str:
    job, limit = Job(contender, model, size), Job("limit", model, size)
    time, extra = results.ratio(CPU, job, limit), results.median(BYTES, job)
    return MISSING if time is None or extra is None else f"{time:.2f}×, {extra / MIB:,.0f} MiB"


def rewrite(text: str, block: str) -> str:
    """The text with a new block between the two marks; ValueError where the marks are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README needs {BEGIN} and behind it {END}; put both where the table shall stand.")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def _measured(results: Results, case: Case, *, pictures: int = 1) -> bool:
    jobs = (Job(name, case.model, case.size, pictures=pictures) for name in case.contenders)
    return any(results.spread(CPU, job) for job in jobs)
