"""The options of the command line, and the Run that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from akd.errors import ConfigError, did_you_mean


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
    """'.5,.4,.3' -> [.5, .4, .3]."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers; write .507,.487,.441") from None


def integers(text: str) -> list[int]:
    """'3,32,32' -> [3, 32, 32]."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers; write 3,32,32") from None


def words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def fraction(text: str) -> float:
    """'8/255' or '0.03', from 0 to 1."""
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no fraction from 0 to 1; write 8/255 or 0.03")
    return value


def model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a weights file does not tell itself")
    group.add_argument("--arch", help="architecture name (`akd design --list`), or package.module:factory")
    group.add_argument("--weights", help="weights file for a teacher given as package.module:factory")
    group.add_argument("--num-classes", type=int, metavar="N")
    group.add_argument("--mean", type=floats, metavar="M,M,M", help="per channel, for pixels in 0..1")
    group.add_argument("--std", type=floats, metavar="S,S,S")
    group.add_argument("--input-size", type=integers, metavar="C,H,W")
    group.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line, in the order of the classes")


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
    from akd.config import from_dict, from_yaml, ideas_by_name, set_dotted, teacher_by_name
    from akd.recipes import recipe

    values: dict[str, Any] = recipe(options.recipe) if options.recipe else {}
    if options.recipe and options.config:
        raise ConfigError("--recipe and --config are both a whole run; give one of the two")
    if options.config:
        try:
            values = from_yaml(options.config.read_text())
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            raise ConfigError(f"cannot read --config {options.config} ({error}); --print-config shows one") from error
    if named := options.teacher or values.get("teacher"):
        values["teacher"] = teacher_by_name(named[0] if options.teacher and len(named) == 1 else named)
    for name, value in told(options).items():
        if "members" in (values.get("teacher") or ()):
            raise ConfigError(f"--{name.replace('_', '-')} tells of one teacher; tell of each of several in --config FILE")
        if not isinstance(values.get("teacher"), dict):
            raise ConfigError(f"--{name.replace('_', '-')} tells of a teacher; give --teacher too")
        values["teacher"][name] = value
    assigned = {assignment.partition("=")[0].strip() for assignment in options.set}
    for pair in (("budget", "student"), ("steps", "time")):
        if any(getattr(options, name) is not None or name in assigned for name in pair):
            values.pop(pair[0], None), values.pop(pair[1], None)
    if options.idea:
        values["ideas"] = {**ideas_by_name(",".join(options.idea)), **ideas_by_name(values.get("ideas"))}
    for name in ("budget", "student", "method", "steps", "time", "seed", "device", "precision", "threads"):
        if getattr(options, name) is not None:
            values[name] = getattr(options, name)
    for assignment in options.set:
        set_dotted(values, assignment)
    if "teacher" not in values and options.print_config:
        values["teacher"] = {"source": "TEACHER"}  # a place to fill in
    if "teacher" not in values:
        raise ConfigError("which teacher? give --teacher FILE|FOLDER|package.module:factory|hf-hub:owner/repo")
    if values.get("budget") is None and values.get("student") is None:
        values["budget"] = "10%"
    return from_dict(values)
