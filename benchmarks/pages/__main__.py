"""What opening the dashboard and a change on its pages cost: server seconds, bytes, time until it is painted.

python -m benchmarks.pages            everything, then benchmarks/PAGES.md: some minutes
python -m benchmarks.pages --quick    in few runs; prints the tables and writes nothing

Needs a Chromium; CHROMIUM names it where it has an unusual name. Nothing else should run meanwhile.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.pages.opening import measure_opening
from benchmarks.pages.painted import paint, running
from benchmarks.pages.plan import QUICK_REPEATS, REPEATS, View, views
from benchmarks.pages.report import Measured, full_report
from benchmarks.pages.served import serve
from benchmarks.results import describe_machine

ROOT = Path(__file__).parent.parent.parent
REPORT = ROOT / "benchmarks" / "PAGES.md"


def main() -> None:
    quick = parse().quick
    repeats = QUICK_REPEATS if quick else REPEATS
    opening = measure_opening(repeats=repeats)
    found, chromium = measure(views(), repeats=repeats)
    report = full_report(found, opening, describe_pages_machine(chromium))
    if quick:
        print(report)
        return
    REPORT.write_text(report, encoding="utf-8")
    print(f"Written: {REPORT.relative_to(ROOT)}.")


def parse() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages",
        description=lines[0],
        epilog="\n".join(lines[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few runs; prints, and writes no file")
    return parser.parse_args()


def measure(chosen: Sequence[View], *, repeats: int) -> tuple[list[Measured], str]:
    """Every view, and the browser's version. The browser comes later: it would slow the server down."""
    served = [serve(view, repeats=repeats) for view in tqdm(chosen, desc="server", unit="view")]
    with running() as (browser, url):
        painted = []
        for view in tqdm(chosen, desc="browser", unit="view"):
            with browser.new_page() as page:
                painted.append(paint(page, url, view, repeats=repeats))
        chromium = browser.version
    rows = zip(chosen, served, painted, strict=True)
    return [Measured(*row) for row in rows], chromium


def describe_pages_machine(chromium: str) -> dict[str, Any]:
    """As the other benchmark describes it, and what pages are made of."""
    return describe_machine() | {"Chromium": chromium, **{name: version(name) for name in ("streamlit", "plotly")}}


if __name__ == "__main__":
    main()
