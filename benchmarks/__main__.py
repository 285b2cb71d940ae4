"""What attention analysis costs, beside a plain forward pass, whole matrices, timm and transformers.

python -m benchmarks            every run, then benchmarks/RESULTS.md, docs/benchmark.svg and the README's tables
python -m benchmarks --only methods   the runs of methods alone, then the same; "attention" are all others
python -m benchmarks --resume   the runs that a killed benchmark did not come to, then the same
python -m benchmarks --report   no runs, only tables and plot, from benchmarks/results.json and benchmarks/methods.json
python -m benchmarks --quick    what the bars need, in few runs; prints the tables and writes nothing

python -m benchmarks.pages      another benchmark: what a change on a page costs, into benchmarks/PAGES.md

Linux only, for its memory's high-water mark. The largest runs need some 6 GB; an explicit implementation of a method,
up to 10 GB, is left out where there are less. Nothing else should run meanwhile.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.plan import Job, full, methods, quick, quick_methods
from benchmarks.plot import write_plot
from benchmarks.report import full_report, readme_block, rewrite
from benchmarks.results import Results, describe_machine
from benchmarks.runner import ROOT, run_all

RESULTS = ROOT / "benchmarks" / "results.json"
METHODS = ROOT / "benchmarks" / "methods.json"  # with a machine and an engine of its own
REPORT = ROOT / "benchmarks" / "RESULTS.md"
PLOT = ROOT / "docs" / "benchmark.svg"
README = ROOT / "README.md"


def main() -> None:
    options = parse()
    asked = (options.only,) if options.only else ("attention", "methods")
    if options.quick:
        print(quick_report(asked))
        return
    plans: dict[str, tuple[Path, Callable[[], list[Job]]]] = {
        "attention": (RESULTS, full),
        "methods": (METHODS, methods),
    }
    for path, plan in () if options.report else [plans[part] for part in asked]:
        results = resumed(path) if options.resume and path.exists() else Results(describe_machine())
        run_all(plan(), results, path=path)
    write_reports(Results.read(RESULTS), Results.read(METHODS) if METHODS.exists() else None)


def quick_report(asked: tuple[str, ...]) -> str:
    """The tables of few runs of what is asked for."""
    results, of_methods = Results(describe_machine()), Results(describe_machine())
    for part, jobs, into in (("attention", quick, results), ("methods", quick_methods, of_methods)):
        if part in asked:
            run_all(jobs(), into, path=None)
    return full_report(results, of_methods)


def parse() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=lines[0], epilog="\n".join(lines[2:]), formatter_class=formatter
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="keep what was measured and run the rest")
    group.add_argument("--report", action="store_true", help="tables and plot of what was measured, without a run")
    group.add_argument("--quick", action="store_true", help="some minutes; prints, and writes no file")
    parts = "run these alone, and keep what was measured of the others"
    parser.add_argument("--only", choices=("attention", "methods"), help=parts)
    return parser.parse_args()


def resumed(path: Path) -> Results:
    """What was measured before; SystemExit where it was on another machine, with other libraries or another engine."""
    results, here = Results.read(path), describe_machine()
    differing = [name for name in here if name != "date" and results.machine.get(name) != here[name]]
    if differing:
        raise SystemExit(
            f"{path.name} is of another machine or engine: {', '.join(differing)} differ. Run without --resume."
        )
    return results


def write_reports(results: Results, of_methods: Results | None) -> None:
    REPORT.write_text(full_report(results, of_methods), encoding="utf-8")
    write_plot(results, PLOT)
    readme = README.read_text(encoding="utf-8")
    README.write_text(rewrite(readme, readme_block(results, of_methods)), encoding="utf-8")
    print(
        f"Written: {REPORT.relative_to(ROOT)}, {PLOT.relative_to(ROOT)} and the tables in {README.relative_to(ROOT)}."
    )


if __name__ == "__main__":
    main()
