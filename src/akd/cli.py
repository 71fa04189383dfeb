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
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from akd.errors import AkdError, ConfigError, brief, did_you_mean

log = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with the option that was probably meant."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `{self.prog} --help`")

    def parse_strictly(self, argv: Sequence[str]) -> argparse.Namespace:
        options, unknown = self.parse_known_args(argv)
        if unknown:
            command: Parser = getattr(options, "parser", self)
            known = [option for action in command._actions for option in action.option_strings]
            word = unknown[0].split("=")[0]
            raise ConfigError(f"unknown option {word}{did_you_mean(word, known)}; see `{command.prog} --help`")
        return options


def floats(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a weights file does not tell itself")
    group.add_argument("--arch", help="architecture name (`akd design --list`), or package.module:factory")
    group.add_argument("--weights", help="weights file for a teacher given as package.module:factory")
    group.add_argument("--num-classes", type=int, metavar="N")
    group.add_argument("--mean", type=floats, metavar="M,M,M", help="per channel, for pixels in 0..1")
    group.add_argument("--std", type=floats, metavar="S,S,S")
    group.add_argument("--input-size", type=integers, metavar="C,H,W")
    group.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line, in the order of the classes")


def build_parser() -> Parser:
    parser = Parser(prog="akd", description="Data-free knowledge distillation: a trained classifier in, a small student out.")
    parser.add_argument("--version", action="version", version=f"akd {metadata.version('akd')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, call: Any, summary: str) -> Parser:
        sub: Parser = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        sub.set_defaults(call=call, parser=sub)
        return sub

    sub = command("quickstart", quickstart, "train a digits teacher, put the data away, distil a 10 % and a 20 % student")
    sub.add_argument("--out", type=Path, default=Path("runs/quickstart"), metavar="DIR")
    sub.add_argument("--seed", type=int, default=0)

    sub = command("distill", distill, "distil a small student from a teacher, without data")
    sub.add_argument(
        "--teacher", metavar="SOURCE", help="model folder, weights file, package.module:factory, hf-hub:… or timm:…"
    )
    model_options(sub)
    sub.add_argument("--budget", metavar="B", help="size of the student: 10%%, 2.1M or 100MMACs")
    sub.add_argument("--student", metavar="NAME", help="architecture of the student, instead of a budget")
    sub.add_argument("--method", metavar="NAME", help="`akd methods` lists them")
    sub.add_argument("--steps", type=int, help="student steps")
    sub.add_argument("--time", metavar="T", help="90s, 10m or 1.5h, instead of steps")
    sub.add_argument("--out", type=Path, metavar="DIR", help="the run folder; an unfinished run there goes on")
    sub.add_argument("--seed", type=int)
    sub.add_argument("--device", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument("--precision", help="auto, fp32 or bf16")
    sub.add_argument("--threads", type=int, help="CPU threads")
    sub.add_argument("--config", type=Path, metavar="FILE", help="a run's config.yaml; options given beside it override it")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. method.student_lr=0.05")
    sub.add_argument("--print-config", action="store_true", help="print the resolved config and stop")
    sub.add_argument("--resume", action="store_true", help="insist that there is a run to go on with")
    sub.add_argument("--checkpoint-every", metavar="T", default="30s")

    sub = command("evaluate", evaluate, "measure a model on a test set")
    sub.add_argument("model", help="model folder, run folder, or weights file with --arch")
    model_options(sub)
    sub.add_argument("--data", required=True, metavar="PATH", help="parquet, CIFAR pickles, image folder, .npz, or 'digits'")
    sub.add_argument(
        "--teacher",
        metavar="SOURCE",
        help="to measure agreement with; default: the run's own",
    )
    sub.add_argument("--device", default="auto")

    sub = command("design", design, "find the student architectures that fit a budget")
    sub.add_argument("--teacher", metavar="SOURCE")
    model_options(sub)
    sub.add_argument("--budget", metavar="B", default="10%", help="10%%, 2.1M or 100MMACs")
    sub.add_argument("--list", action="store_true", help="list the built-in architectures")

    command("methods", methods, "list the methods")
    return parser


def short(count: int) -> str:
    """2133604 -> '2.134M'."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g}{unit}"
    return str(count)


def read_labels(file: Path | None) -> list[str] | None:
    if file is None:
        return None
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read --labels {file}: {error}; give a text file with one class name a line") from error


def told(options: argparse.Namespace) -> dict[str, Any]:
    """The model options that were given, under the names of `Source` and `load_model`."""
    names = ("arch", "weights", "num_classes", "mean", "std", "input_size")
    given = {name: getattr(options, name) for name in names}
    given["label_names"] = read_labels(options.labels)
    return {name: value for name, value in given.items() if value is not None}


def run_of(options: argparse.Namespace) -> Any:
    """The Run that config file, options and --set describe, the later overriding the earlier."""
    from akd.config import from_dict, from_yaml, set_dotted

    values: dict[str, Any] = {}
    if options.config:
        try:
            values = from_yaml(options.config.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read --config {options.config}: {error}; --print-config shows one") from error
    if isinstance(values.get("teacher"), str):
        values["teacher"] = {"source": values["teacher"]}
    if options.teacher:
        values["teacher"] = {"source": options.teacher}
    for name, value in told(options).items():
        if not isinstance(values.get("teacher"), dict):
            raise ConfigError(f"--{name.replace('_', '-')} tells of a teacher; give --teacher too")
        values["teacher"][name] = value
    assigned = {assignment.partition("=")[0].strip() for assignment in options.set}
    for pair in (("budget", "student"), ("steps", "time")):
        if any(getattr(options, name) is not None or name in assigned for name in pair):
            values.pop(pair[0], None), values.pop(pair[1], None)
    for name in ("budget", "student", "method", "steps", "time", "seed", "device", "precision", "threads"):
        if getattr(options, name) is not None:
            values[name] = getattr(options, name)
    for assignment in options.set:
        set_dotted(values, assignment)
    if "teacher" not in values:
        raise ConfigError("which teacher? give --teacher FILE|FOLDER|package.module:factory|hf-hub:owner/repo")
    if values.get("budget") is None and values.get("student") is None:
        values["budget"] = "10%"
    return from_dict(values)


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

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:.0f} %  {task.fields[note]}"))
    with Progress(*columns, console=log, disable=not log.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def watch(part: str, progress: float, note: str) -> None:
            if part not in tasks:
                tasks[part] = bar.add_task(part, total=1.0, note="")
            bar.update(tasks[part], completed=progress, note=note)

        result = run_quickstart(options.out, options.seed, watch)
    if not options.json:
        table = Table(title="digits: distilled without data, measured on the held-out test set", title_justify="left")
        for column in ("", "params", "of teacher", "MACs", "accuracy", "agreement", "s"):
            table.add_column(column, justify="left" if not column else "right", no_wrap=True)
        rows = [("teacher", result["teacher"]), *((f"student {s['budget']}", s) for s in result["students"])]
        for name, row in rows:
            agreement = f"{row['agreement']:.1f} %" if "agreement" in row else ""
            table.add_row(
                name, short(row["params"]), f"{100 * row['ratio']:.1f} %", short(row["macs"]),
                f"{row['accuracy']:.1f} %", agreement, f"{row['seconds']:.0f}",
            )  # fmt: skip
        out.print(table)
        out.print(f"all of it in {result['seconds']:.0f} s; look around in {result['out']}", markup=False)
    return result


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    from akd.evaluation.data import load_test_set
    from akd.evaluation.metrics import evaluate as measure
    from akd.networks.models import load_model
    from akd.runtime import make_runtime

    model = load_model(options.model, **told(options))
    teacher = teacher_of(options)
    device = make_runtime(options.device).device
    result = asdict(measure(model, load_test_set(options.data, model.card), teacher, device=device))
    if not options.json:
        table = Table(title=f"{options.model} on {options.data}", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in result.items():
            if name != "per_class" and value is not None:
                table.add_row(
                    name,
                    f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value),
                )
        out.print(table)
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
        table = Table(title=f"students for {options.budget} of {teacher.card.architecture}", title_justify="left")
        for column in ("", "network", "widths", "depth", "params", "of teacher", "MACs", "ms"):
            table.add_column(column, justify="left" if column in ("", "network", "widths") else "right", no_wrap=True)
        for c in found.candidates:
            table.add_row(
                "*" if c == found.chosen else "", c.architecture, c.width, str(c.depth), short(c.params),
                f"{100 * c.ratio:.2f} %", short(c.macs), f"{c.latency_ms:.2f}",
            )  # fmt: skip
        out.print(table)
        out.print(f"* {found.why}", markup=False)
    return asdict(found)


def methods(options: argparse.Namespace) -> dict[str, Any]:
    from akd.methods import METHODS

    rows = {name: {"paper": m.paper, "needs_batch_norm": m.needs_batch_norm} for name, m in METHODS.items()}
    if not options.json:
        table = Table()
        for column in ("method", "paper", "needs BatchNorm", "what it does"):
            table.add_column(column)
        for name, method in METHODS.items():
            summary = (method.__doc__ or "").strip().splitlines()[0]
            table.add_row(name, method.paper, "yes" if method.needs_batch_norm else "", summary)
        out.print(table)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    try:
        options = parser.parse_strictly(sys.argv[1:] if argv is None else argv)
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
