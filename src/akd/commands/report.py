"""akd report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from akd.console import out, working

SUMMARY = "write what runs are and made into one HTML file that opens offline"
EXAMPLES = """\
akd report runs/first --data cifar100/
akd report runs/first runs/second --out both.html"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders; several are set side by side")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: report.html in the folder RUN; here, where there are several runs"
    )
    parser.add_argument("--data", metavar="PATH", help="a test set to measure on; the forms of akd evaluate")
    parser.add_argument("--teacher", metavar="SOURCE", help="where the runs' teacher lies now, if not where it was")
    parser.add_argument("--device", default="auto")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.errors import ConfigError
    from akd.files import write_text
    from akd.report.gather import Sources, gather
    from akd.report.page import render

    file = options.out or (options.runs[0] if len(options.runs) == 1 else Path()) / "report.html"
    if options.out and (file.is_dir() or not file.parent.is_dir()):  # told before the work, not after it
        raise ConfigError(f"cannot write {file}: name a file in a folder that is there, e.g. --out report.html")
    sources = Sources(options.data, options.teacher, options.device)
    with working("reading the runs") as tell:
        gathered = gather(options.runs, sources, tell)
        write_text(file, render(gathered))
    if not options.json:
        size, runs = file.stat().st_size / 1e6, f"{len(options.runs)} run{'s' * (len(options.runs) > 1)}"
        out.print(f"{file}: {runs}, {size:.1f} MB, opens offline", markup=False)
    return {"out": str(file), **gathered}
