"""A run as a frozen record, and how it is read from YAML and options."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from akd.errors import ConfigError, did_you_mean
from akd.ideas import IDEAS, Idea
from akd.methods import METHODS, Method
from akd.methods.default import Default
from akd.networks.design import parse_budget
from akd.networks.ensemble import COMBINE
from akd.strict import build, listed


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a network is named: a folder, file or form (see `akd.networks.models`), and what the file does not tell itself."""

    source: str
    arch: str | None = None
    arguments: dict[str, Any] | None = None
    weights: str | None = None
    num_classes: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    input_size: tuple[int, ...] | None = None
    label_names: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Member(Source):
    """One teacher of several; classes: the joint class of each of its own, where it does not know all of them in order."""

    classes: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Several teachers: their predictions averaged ("mean") or weighed by how sure each is ("confidence")."""

    members: tuple[Member, ...]
    combine: str = "mean"

    def __post_init__(self) -> None:
        if self.combine not in COMBINE:
            raise ConfigError(f"unknown way to combine teachers {self.combine!r}; use {' or '.join(COMBINE)}")
        if len(self.members) < 2:
            raise ConfigError("an ensemble has two teachers or more; name one alone without `members`")

    @property
    def source(self) -> str:
        return " + ".join(member.source for member in self.members)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run's result. Give `student` or `budget`, and `steps` or `time` (seconds)."""

    teacher: Source | Ensemble
    student: str | None = None
    budget: str | None = None
    method: Method = field(default_factory=Default)
    ideas: tuple[Idea, ...] = ()
    steps: int | None = None
    time: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if len({idea.name for idea in self.ideas}) < len(self.ideas):
            raise ConfigError("an idea is named twice; name each once")
        order = list(IDEAS)
        object.__setattr__(self, "ideas", tuple(sorted(self.ideas, key=lambda idea: order.index(idea.name))))
        if (self.student is None) == (self.budget is None):
            both = "a student is named and a budget given" if self.student else "there is neither a student nor a budget"
            raise ConfigError(f"{both}; give one of the two, e.g. --budget 10%")
        if (self.steps is None) == (self.time is None):
            both = "--steps and --time both say how long" if self.steps else "nothing says how long"
            raise ConfigError(f"{both}; give one of the two, e.g. --time 10m")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps {self.steps} must be 1 or more")
        if self.time is not None and not 0 < self.time < 1e9:
            raise ConfigError(f"--time {self.time} must be a positive number of seconds; e.g. --time 10m")
        if self.budget is not None:
            parse_budget(self.budget)
        check_seed(self.seed)


def check_seed(seed: int) -> None:
    """ConfigError for a seed that no generator of random numbers takes."""
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed {seed} must be from 0 to 2^63 - 1, e.g. --seed 0")


SHORT = {"method": "name", "teacher": "source"}  # `method: dfad` stands for {name: dfad}


def parse_time(text: str) -> float:
    """'90', '90s', '10m', '1.5h' -> seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    digits, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in units else (text, "s")
    try:
        seconds = float(digits) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ConfigError(f"cannot read the time {text!r}; write 90s, 10m or 1.5h")
    return seconds


def to_dict(run: Run) -> dict[str, Any]:
    """Plain values only, the method with its name: what `config.yaml` holds and `from_dict` reads back."""
    plain = dataclasses.asdict(run)
    plain["method"] = {"name": run.method.name, **plain["method"]}
    plain["ideas"] = {idea.name: dataclasses.asdict(idea) for idea in run.ideas}
    return typing.cast(dict[str, Any], listed(plain))


def to_yaml(run: Run) -> str:
    return yaml.safe_dump(to_dict(run), sort_keys=False, allow_unicode=True)


def from_dict(values: Mapping[str, Any]) -> Run:
    """The Run that these nested values describe; ConfigError names the key that does not fit, and a near one."""
    values = dict(values)
    if "method" in values:
        values["method"] = parse_method(values["method"])
    if "ideas" in values:
        values["ideas"] = parse_ideas(values["ideas"])
    if "teacher" in values:
        values["teacher"] = teacher_by_name(values["teacher"])
    if isinstance(values.get("time"), str):
        values["time"] = parse_time(values["time"])
    return build(Run, values, "")


def teacher_by_name(given: Any) -> Any:
    """{source: ...} for a source alone, {members: [...]} for a list of them; what is neither comes back as it is."""
    if isinstance(given, str):
        return {"source": given}
    if isinstance(given, (list, tuple)):
        return {"members": [teacher_by_name(member) for member in given]}
    if isinstance(given, dict) and isinstance(given.get("members"), (list, tuple)):
        return {**given, "members": [teacher_by_name(member) for member in given["members"]]}
    return given


def from_yaml(text: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"not readable as YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise ConfigError("a run's config is a YAML mapping such as 'budget: 10%'")
    return values


def parse_method(given: Any) -> Method:
    """A method from its name, or from {name: ..., knob: value, ...}."""
    if isinstance(given, Method):
        return given
    values = dict(given) if isinstance(given, dict) else {"name": given}
    name = values.pop("name", Default.name)
    if not isinstance(name, str) or name not in METHODS:
        raise ConfigError(f"unknown method {name!r}{did_you_mean(str(name), METHODS)}; `akd methods` lists them")
    return build(METHODS[name], values, "method.")


def ideas_by_name(given: Any) -> Any:
    """{name: {knob: value}} for ideas given as "features,boundary", as a list of names, or so already."""
    if given is None:
        return {}
    if isinstance(given, str):
        given = [name.strip() for name in given.split(",") if name.strip()]
    if isinstance(given, (list, tuple)):
        return {name if isinstance(name, str) else repr(name): {} for name in given}
    return dict(given) if isinstance(given, Mapping) else given


def parse_ideas(given: Any) -> tuple[Idea, ...]:
    """Ideas as a user names them: see `ideas_by_name`."""
    if isinstance(given, (list, tuple)) and all(isinstance(idea, Idea) for idea in given):
        return tuple(given)
    given = ideas_by_name(given)
    if not isinstance(given, Mapping):
        raise ConfigError(f"ideas={given!r} must be names, as in [features, boundary]; `akd methods` lists them")
    for name in given:
        if name not in IDEAS:
            raise ConfigError(f"unknown idea {name!r}{did_you_mean(str(name), IDEAS)}; `akd methods` lists them")
    knobs = {name: {} if told is None else told for name, told in given.items()}
    return tuple(build(IDEAS[name], told, f"ideas.{name}.") for name, told in knobs.items())


def set_dotted(values: dict[str, Any], assignment: str) -> None:
    """Apply 'method.student_lr=0.05' to nested `values`; the right side is read as YAML."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"cannot read --set {assignment!r}; write --set method.student_lr=0.05")
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if isinstance(inner, str) and key in SHORT:
            inner = values[key] = {SHORT[key]: inner}
        elif key == "ideas":
            inner = values[key] = ideas_by_name(inner)
        elif inner is None:
            inner = values[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key!r} has no parts to set; see --print-config")
        values = inner
    try:
        values[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read the value of --set {assignment!r}; quote it as YAML") from error
