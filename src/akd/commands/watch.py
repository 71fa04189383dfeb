"""akd watch."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.live import Live

from akd.console import out
from akd.errors import Diverged

SUMMARY = "look on while a run is going in another process"
EXAMPLES = """\
akd watch runs/first
akd watch runs/first --once --json"""
EVERY = 1.0  # seconds


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder; Ctrl-C stops looking, not the run")
    parser.add_argument("--once", action="store_true", help="print how it stands and exit")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.files import hardly_begun
    from akd.report.live import QUIET, frame, standing
    from akd.report.record import read_run
    from akd.runfolder import RunFolder

    folder = RunFolder(options.run)
    while not options.once and folder.at_work() and hardly_begun(options.run):
        time.sleep(EVERY)
    run = read_run(options.run)
    if options.once:
        if not options.json:
            out.print(frame(run), soft_wrap=False)
        return standing(run)
    with Live(frame(run), console=out, auto_refresh=False) if not options.json else nullcontext() as live:
        while run["status"] == "unfinished" and ((run["quiet"] or 0.0) < QUIET or folder.at_work()):
            time.sleep(EVERY)
            run = read_run(options.run)
            if live:
                live.update(frame(run), refresh=True)
    if run["status"] == "diverged":
        raise Diverged(f"the run in {options.run} went wrong; its last good student is in {options.run / 'last-good'}")
    return standing(run)
