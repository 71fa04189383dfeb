"""akd bench."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from akd.console import out, working
from akd.errors import ConfigError
from akd.options import integers

SUMMARY = "compare methods and ideas on a small task, over seeds, at their last state"
EXAMPLES = """\
akd bench akd dfad --seeds 0,1
akd bench --ablate akd --steps 1000"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="METHOD or METHOD+IDEA+…; default: all methods that fit")
    parser.add_argument("--ablate", metavar="METHOD", help="the method alone, with each idea alone, and with all together")
    parser.add_argument("--task", default="digits", help="digits, or mnist with --data")
    parser.add_argument("--data", metavar="FOLDER", help="MNIST as train-*.parquet and test-*.parquet")
    parser.add_argument("--seeds", type=integers, default=[0, 1, 2], metavar="S,S,S")
    parser.add_argument("--steps", type=int, help="student steps of each run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="an unfinished bench goes on")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.bench import ablation, run_bench
    from akd.tables import bench_table

    if options.ablate and options.variants:
        raise ConfigError("--ablate chooses the variants itself; leave the others out")
    if options.jobs < 1 or (options.steps is not None and options.steps < 1):
        raise ConfigError("--jobs and --steps must be 1 or more")
    variants = ablation(options.ablate) if options.ablate else options.variants
    with working("training the teachers") as tell:
        result = run_bench(
            options.task,
            variants,
            options.seeds,
            options.out,
            steps=options.steps,
            data=options.data,
            at_once=options.jobs,
            look=tell,
        )
    if not options.json:
        out.print(bench_table(result))
    return result
