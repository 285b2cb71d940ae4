"""What attention analysis costs, beside a plain forward pass, whole matrices, timm and transformers.

python -m benchmarks            every run, then benchmarks/RESULTS.md, docs/benchmark.svg and the README's table
python -m benchmarks --resume   the runs that a killed benchmark did not come to, then the same
python -m benchmarks --report   no runs, only the tables and the plot, from benchmarks/results.json
python -m benchmarks --quick    what the bars need, in few runs; prints the tables and writes nothing

python -m benchmarks.pages      another benchmark: what a change on a page costs, into benchmarks/PAGES.md

Linux only, for its memory's high-water mark. The largest runs need some 6 GB. Nothing else should run meanwhile.
"""

import argparse
from pathlib import Path

from benchmarks.plan import full, quick
from benchmarks.plot import write_plot
from benchmarks.report import full_report, readme_block, rewrite
from benchmarks.results import Results, describe_machine
from benchmarks.runner import ROOT, run_all

RESULTS = ROOT / "benchmarks" / "results.json"
REPORT = ROOT / "benchmarks" / "RESULTS.md"
PLOT = ROOT / "docs" / "benchmark.svg"
README = ROOT / "README.md"


def main() -> None:
    options = parse()
    if options.quick:
        results = Results(describe_machine())
        run_all(quick(), results, path=None)
        print(full_report(results))
        return
    if options.report:
        results = Results.read(RESULTS)
    else:
        results = resumed(RESULTS) if options.resume else Results(describe_machine())
        run_all(full(), results, path=RESULTS)
    write_reports(results)


def parse() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=lines[0], epilog="\n".join(lines[2:]), formatter_class=formatter
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="keep what results.json has and run the rest")
    group.add_argument("--report", action="store_true", help="tables and plot from results.json, without a run")
    group.add_argument("--quick", action="store_true", help="some minutes; prints, and writes no file")
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


def write_reports(results: Results) -> None:
    REPORT.write_text(full_report(results), encoding="utf-8")
    write_plot(results, PLOT)
    readme = README.read_text(encoding="utf-8")
    README.write_text(rewrite(readme, readme_block(results)), encoding="utf-8")
    print(f"Written: {REPORT.relative_to(ROOT)}, {PLOT.relative_to(ROOT)} and the table in {README.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
