"""The command line: options in, a Run or a call made of them, tables out. The only module that prints.

Exit codes: 0 done; 1 the run failed; 2 usage; 75 checkpointed after SIGTERM or SIGUSR1, start again to go on; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from akd.errors import AkdError, ConfigError, brief
from akd.options import Call, build_parser, run_of, told

log = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


def distill(options: argparse.Namespace) -> dict[str, Any]:
    from akd.config import parse_time, to_dict, to_yaml
    from akd.runner import execute

    run = run_of(options)
    if options.print_config:
        if not options.json:
            out.print(to_yaml(run), end="", markup=False)
        return to_dict(run)
    if options.out is None:
        raise ConfigError("where to? give --out DIR for the run folder")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)

        def watch(report: Any) -> None:
            text = f"step {report.step}  loss {report.losses['student']:.3f}  probe agreement {report.agreement:.1f} %"
            bar.update(task, completed=report.progress, description=text)

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
        out.print(
            f"{result['architecture']}: {result['params']:,} parameters, {100 * result['ratio']:.2f} % of the teacher\n"
            f"{result['steps']:,} steps in {result['seconds']:.0f} s\n"
            f"agreement with the teacher on the synthetic probe: {result['probe_agreement']:.1f} %\n"
            f"measure it: akd evaluate {outcome.folder} --data PATH",
            markup=False,
        )
    return result


def quickstart(options: argparse.Namespace) -> dict[str, Any]:
    from akd.quickstart import run_quickstart
    from akd.tables import quickstart_table

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:.0f} %  {task.fields[note]}"))
    with Progress(*columns, console=log, disable=not log.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def watch(part: str, progress: float, note: str) -> None:
            if part not in tasks:
                tasks[part] = bar.add_task(part, total=1.0, note="")
            bar.update(tasks[part], completed=progress, note=note)

        result = run_quickstart(options.out, options.seed, watch)
    if not options.json:
        out.print(quickstart_table(result))
        out.print(f"all of it in {result['seconds']:.0f} s; look around in {result['out']}", markup=False)
    return result


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    from akd.evaluation.data import load_test_set
    from akd.evaluation.metrics import evaluate as measure
    from akd.networks.models import load_model
    from akd.runtime import make_runtime
    from akd.tables import evaluation_table

    model = load_model(options.model, **told(options))
    teacher = teacher_of(options)
    device = make_runtime(options.device).device
    result = asdict(measure(model, load_test_set(options.data, model.card), teacher, device=device))
    if not options.json:
        out.print(evaluation_table(f"{options.model} on {options.data}", result))
        worst = sorted((v, k) for k, v in result["per_class"].items() if v is not None)[:5]
        out.print("weakest classes: " + ", ".join(f"{name} {value:.1f} %" for value, name in worst), markup=False)
    return result


def teacher_of(options: argparse.Namespace) -> Any:
    """The teacher to agree with: the one named, told as the run was where it is the run's; or else the run's own."""
    from akd.networks.models import load_model
    from akd.runfolder import teacher_of_run

    source = teacher_of_run(Path(options.model))
    if options.teacher and (source is None or options.teacher != source["source"]):
        return load_model(options.teacher)
    if source is None:
        return None
    try:
        return load_model(**source)
    except AkdError as error:
        if options.teacher:
            raise
        log.print(f"the run's teacher cannot be loaded, so agreement is left out ({error})", markup=False)
        return None


def design(options: argparse.Namespace) -> dict[str, Any]:
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


def methods(options: argparse.Namespace) -> dict[str, Any]:
    from akd.methods import METHODS
    from akd.tables import methods_table

    rows = {name: {"paper": m.paper, "needs_batch_norm": m.needs_batch_norm} for name, m in METHODS.items()}
    if not options.json:
        out.print(methods_table(METHODS))
    return rows


COMMANDS: dict[str, Call] = {f.__name__: f for f in (quickstart, distill, evaluate, design, methods)}


def main(argv: Sequence[str] | None = None) -> int:
    try:
        options = build_parser(COMMANDS).parse_strictly(sys.argv[1:] if argv is None else argv)
        # With --json, stdout is for the one object: what a user's own factory prints goes to stderr.
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            result = options.call(options)
        if options.json:
            print(json.dumps(result))
        sys.stdout.flush()
    except AkdError as error:
        print(f"akd: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("akd: interrupted; start the same command again to go on", file=sys.stderr)
        return 130
    except SystemExit as error:
        if error.code in (0, None):  # --help, --version
            raise
        print("akd: the user's own code asked to exit; look into the factory that was named", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away; keep Python's exit from complaining again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("AKD_TRACEBACK"):
            raise
        print(f"akd: unexpected {brief(error)}; set AKD_TRACEBACK=1 to see where", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
