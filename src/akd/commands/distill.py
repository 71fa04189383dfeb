"""akd distill."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from akd.console import log, out, working
from akd.errors import ConfigError
from akd.options import model_options, run_of

SUMMARY = "distil a small student from a teacher, without data"
EXAMPLES = """\
akd distill --teacher runs/quickstart/teacher --budget 5% --steps 500 \\
    --out runs/five
akd distill --recipe cifar100-10pct --teacher teacher.pth --arch resnet34 \\
    --mean .507,.487,.441 --std .267,.256,.276 --out runs/first"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher",
        action="append",
        metavar="SOURCE",
        help="model folder, weights file, package.module:factory, hf-hub:… or timm:…; again for an ensemble",
    )
    model_options(parser)
    parser.add_argument("--budget", metavar="B", help="size of the student: 10%%, 2.1M or 100MMACs")
    parser.add_argument("--student", metavar="NAME", help="architecture of the student, instead of a budget")
    parser.add_argument("--method", metavar="NAME", help="`akd methods` lists them")
    parser.add_argument(
        "--with", dest="idea", action="append", default=[], metavar="IDEA", help="an idea to add; again for more, or a,b,c"
    )
    parser.add_argument("--steps", type=int, help="student steps")
    parser.add_argument("--time", metavar="T", help="90s, 10m or 1.5h, instead of steps")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder; an unfinished run there goes on")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--precision", help="auto, fp32 or bf16")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--recipe", metavar="NAME", help="a run that ships with akd, e.g. cifar100-10pct; options override it")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a run's config.yaml; options given beside it override it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. method.student_lr=0.05")
    parser.add_argument("--print-config", action="store_true", help="print the resolved config and stop")
    parser.add_argument("--resume", action="store_true", help="insist that there is a run to go on with")
    parser.add_argument("--checkpoint-every", metavar="T", default="30s")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.config import parse_time, to_dict, to_yaml
    from akd.networks.zoo import is_foreign
    from akd.recipes import described
    from akd.runner import execute

    run = run_of(options)
    if options.print_config:
        if not options.json:
            out.print(to_yaml(run), end="", markup=False)
        return to_dict(run)
    if options.out is None:
        raise ConfigError("where to? give --out DIR for the run folder")
    if options.recipe:
        log.print(f"{options.recipe}: {described()[options.recipe]}", markup=False)
    with working("starting") as tell:

        def watch(report: Any) -> None:
            text = f"step {report.step}  loss {report.losses['student']:.3f}  probe agreement {report.agreement:.1f} %"
            tell(text, report.progress)

        outcome = execute(
            run,
            options.out,
            resume=options.resume,
            checkpoint_every=parse_time(options.checkpoint_every),
            watch=watch,
            say=lambda line: log.print(line, markup=False),
        )
    result = {"out": str(outcome.folder), **outcome.result}
    if not options.json:
        by = f" --arch {result['architecture']}" if is_foreign(result["architecture"]) else ""  # which allows that it is run
        out.print(
            f"{result['architecture']}: {result['params']:,} parameters, {100 * result['ratio']:.2f} % of the teacher\n"
            f"{result['steps']:,} steps in {result['seconds']:.0f} s\n"
            f"agreement with the teacher on the synthetic probe: {result['probe_agreement']:.1f} %\n"
            f"measure it: akd evaluate {outcome.folder} --data PATH{by}",
            markup=False,
        )
    return result
