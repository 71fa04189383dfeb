"""akd quickstart."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from akd.console import Seldom, log, out

SUMMARY = "train a digits teacher, put the data away, distil a 10 % and a 20 % student"
EXAMPLES = """\
akd quickstart
akd quickstart --out runs/second --seed 1"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.quickstart import run_quickstart
    from akd.tables import quickstart_table

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:.0f} %  {task.fields[note]}"))
    with Progress(*columns, console=log, disable=not log.is_terminal) as bar:
        tasks: dict[str, Any] = {}
        line = Seldom()

        def watch(part: str, progress: float, note: str) -> None:
            if part not in tasks:
                tasks[part] = bar.add_task(part, total=1.0, note="")
            before = bar.tasks[tasks[part]].finished
            bar.update(tasks[part], completed=progress, note=note)
            if progress >= 1 and not before and not log.is_terminal:
                log.print(f"{part}: done, {note}", markup=False)
            elif progress < 1:
                line.say(f"{part}: {100 * progress:.0f} %, {note}")

        result = run_quickstart(options.out, options.seed, watch)
    if not options.json:
        out.print(quickstart_table(result))
        out.print(f"all of it in {result['seconds']:.0f} s; look around in {result['out']}", markup=False)
    return result
