"""The options of the command line, and the Run that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from akd.errors import ConfigError, did_you_mean

Call = Callable[[argparse.Namespace], dict[str, Any]]


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


def build_parser(calls: Mapping[str, Call]) -> Parser:
    """The command line; `calls` are what the commands do, by name."""
    parser = Parser(prog="akd", description="Data-free knowledge distillation: a trained classifier in, a small student out.")
    parser.add_argument("--version", action="version", version=f"akd {metadata.version('akd')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str) -> Parser:
        sub: Parser = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        sub.set_defaults(call=calls[name], parser=sub)
        return sub

    sub = command("quickstart", "train a digits teacher, put the data away, distil a 10 % and a 20 % student")
    sub.add_argument("--out", type=Path, default=Path("runs/quickstart"), metavar="DIR")
    sub.add_argument("--seed", type=int, default=0)

    sub = command("distill", "distil a small student from a teacher, without data")
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

    sub = command("evaluate", "measure a model on a test set")
    sub.add_argument("model", help="model folder, run folder, or weights file with --arch")
    model_options(sub)
    sub.add_argument("--data", required=True, metavar="PATH", help="parquet, CIFAR pickles, image folder, .npz, or 'digits'")
    sub.add_argument(
        "--teacher",
        metavar="SOURCE",
        help="to measure agreement with; default: the run's own",
    )
    sub.add_argument("--device", default="auto")

    sub = command("design", "find the student architectures that fit a budget")
    sub.add_argument("--teacher", metavar="SOURCE")
    model_options(sub)
    sub.add_argument("--budget", metavar="B", default="10%", help="10%%, 2.1M or 100MMACs")
    sub.add_argument("--list", action="store_true", help="list the built-in architectures")

    command("methods", "list the methods")
    return parser


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
