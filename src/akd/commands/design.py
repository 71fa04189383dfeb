"""akd design."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from akd.console import out
from akd.errors import ConfigError
from akd.options import model_options, told

SUMMARY = "find the student architectures that fit a budget"
EXAMPLES = """\
akd design --teacher runs/quickstart/teacher --budget 20%
akd design --arch resnet34 --num-classes 100 --budget 100MMACs"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", metavar="SOURCE")
    model_options(parser)
    parser.add_argument("--budget", metavar="B", default="10%", help="10%%, 2.1M or 100MMACs")
    parser.add_argument("--list", action="store_true", help="list the built-in architectures")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.networks import zoo
    from akd.networks.design import design_student
    from akd.networks.models import architecture_only, load_model
    from akd.tables import design_table

    if options.list:
        names = sorted(zoo.ARCHITECTURES)
        if not options.json:
            out.print("\n".join(names), markup=False)
        return {"architectures": names}
    if options.teacher:
        teacher = load_model(options.teacher, **told(options))
    elif options.arch:
        teacher = architecture_only(options.arch, options.num_classes, options.input_size)
    else:
        raise ConfigError("which teacher? give --teacher SOURCE, or --arch NAME --num-classes N")
    found = design_student(teacher, options.budget)
    if not options.json:
        out.print(design_table(f"students for {options.budget} of {teacher.card.architecture}", found))
        out.print(f"* {found.why}", markup=False, soft_wrap=False)
    return asdict(found)
