"""Methods and ideas side by side on a small task: variants times seeds, each a run of its own, measured at its last state."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from akd.catalogue import EXAMPLE
from akd.config import check_seed, parse_ideas, parse_method
from akd.errors import ConfigError, did_you_mean
from akd.evaluation.data import TestSet, load_test_set
from akd.evaluation.metrics import evaluate
from akd.files import one_line, write_json, write_text
from akd.ideas import IDEAS, plan_of
from akd.methods import METHODS
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model, save_model
from akd.processes import Job, run_together
from akd.quickstart import digits_teacher
from akd.runfolder import RunFolder, json_object
from akd.runtime import set_threads
from akd.training import train_teacher

BASELINE = "untrained"
ROUNDS: Mapping[str, Mapping[str, Any]] = {
    # Published schedules are made for 80,000 steps and more; these make rounds as many, and shorter, in a few thousand.
    "dafl": {"batch_size": 256},
    "deepinversion": {"iterations": 200, "student_steps": 100},
    "cmi": {"generator_steps": 50, "student_steps": 40},
    "fast": {"student_steps": 40},
    "nayer": {"generator_steps": 20, "student_steps": 40},
    "spaceship": {"generator_steps": 50, "student_steps": 40},
}


@dataclass(frozen=True)
class Task:
    """A teacher that is trained in seconds, the student it is distilled into, and for how many steps.

    methods: those that fit the teacher. knobs: what differs from their published constants at this size, by method.
    """

    teacher: Callable[[str | None, int], Classifier]
    student: tuple[str, str]
    steps: int
    methods: Sequence[str]
    knobs: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: ROUNDS)

    def knobs_of(self, variant: str) -> dict[str, Any]:
        return dict(self.knobs.get(parsed(variant)[0], {}))


def _digits(_data: str | None, seed: int) -> Classifier:
    return digits_teacher(seed)


def _mnist(data: str | None, seed: int) -> Classifier:
    card = ModelCard("lenet5", 10, (0.1307,), (0.3081,), (1, 28, 28), label_names=tuple("0123456789"))
    train = load_test_set(str(_training_file(data)), card)
    return train_teacher(card, train.images, train.labels, epochs=2, seed=seed)


def _training_file(data: str | None) -> Path:
    if data is None:
        raise ConfigError("task mnist needs MNIST on disk; give --data FOLDER with train-*.parquet and test-*.parquet")
    files = sorted(Path(data).glob("train-*.parquet"))
    if len(files) != 1:
        raise ConfigError(f"{data} holds {len(files)} files train-*.parquet; give --data FOLDER with one, and test-*.parquet")
    return files[0]


TASKS = {
    "digits": Task(_digits, ("--budget", "10%"), 2000, list(METHODS)),
    # LeNet-5 has no BatchNorm.
    "mnist": Task(
        _mnist, ("--student", "lenet5-half"), 2000, ("akd", "dfad", "dafl", "zskt", BASELINE), {**ROUNDS, "akd": {"bn": 0.0}}
    ),
}


def parsed(variant: str) -> tuple[str, list[str]]:
    """'dfad+features' -> ('dfad', ['features']); ConfigError where there is no such method or idea."""
    method, *ideas = variant.split("+")
    for name, known in [(method, list(METHODS)), *((idea, list(IDEAS)) for idea in ideas)]:
        if name not in known:
            raise ConfigError(f"unknown {name!r} in {variant!r}{did_you_mean(name, known)}; write METHOD or METHOD+IDEA+…")
    return method, ideas


def ablation(method: str) -> list[str]:
    """The method alone, with each idea that fits it and that it does not have already, and with all of these together."""
    parsed(method)
    plan, ideas = METHODS[method]().plan(EXAMPLE), []
    for name, idea in IDEAS.items():
        with contextlib.suppress(ConfigError):
            if idea().add(plan, EXAMPLE) != plan:
                ideas.append(name)
    return [method, *(f"{method}+{idea}" for idea in ideas), "+".join([method, *ideas])]


def run_bench(
    task_name: str,
    variants: Sequence[str] | None,
    seeds: Sequence[int],
    out: Path,
    *,
    steps: int | None = None,
    data: str | None = None,
    at_once: int = 1,
    look: Callable[[str, float], None] = lambda doing, done: None,
) -> dict[str, Any]:
    """Run what is not run yet under `out`, measure every cell at its last state; a JSON-ready dict of cells and rows.

    variants: METHOD or METHOD+IDEA+…; None: every method that fits the task. Each seed has one teacher, shared by all variants,
    so that variants are compared seed by seed. `look` is told what is being done and how much of it is, in 0..1.
    """
    if task_name not in TASKS:
        raise ConfigError(f"unknown task {task_name!r}{did_you_mean(task_name, TASKS)}; there are {', '.join(TASKS)}")
    if task_name == "digits" and data is not None:
        raise ConfigError("task digits brings its own data; leave --data out, or take --task mnist")
    if task_name == "mnist":
        _training_file(data)  # fails here, before anything is written
    task = TASKS[task_name]
    for seed in seeds:
        check_seed(seed)
    variants, seeds = list(dict.fromkeys(variants or task.methods)), list(dict.fromkeys(seeds))
    cells = [(variant, seed) for seed in seeds for variant in variants]
    paths = [out / f"seed-{seed}" / variant for variant, seed in cells]
    steps = steps or task.steps
    jobs = [_job(task, variant, seed, path, steps) for (variant, seed), path in zip(cells, paths, strict=True)]
    _claim(out, f"{task_name}, {steps} steps")
    set_threads(1)
    teachers = {}
    for i, seed in enumerate(seeds):
        look(f"training teacher {i + 1} of {len(seeds)}", i / len(seeds))
        teachers[seed] = _teacher(task, data, seed, out / f"seed-{seed}" / "teacher")

    def looked() -> None:
        finished = sum((path / "result.json").exists() for path in paths)
        done = sum(RunFolder(path).last_report().get("progress", 0.0) for path in paths)
        look(f"{finished} of {len(paths)} runs done", done / len(paths))

    place = dict(zip(jobs, paths, strict=True))
    run_together([job for job in jobs if not _diverged(place[job])], at_once, looked, lambda job: bool(_diverged(place[job])))
    look("measuring", 1.0)
    test = load_test_set(task_name if data is None else data, teachers[seeds[0]].card)
    measured = [
        {**_measured(variant, seed, path, teachers[seed], test), "knobs": task.knobs_of(variant)}
        for (variant, seed), path in zip(cells, paths, strict=True)
    ]
    top1 = [evaluate(teacher, test).top1 for teacher in teachers.values()]
    told = {"task": task_name, "steps": steps, "teacher_top1": top1}
    result = {**told, "cells": measured, "rows": table(measured)}
    write_json(out / "bench.json", result)
    return result


def _job(task: Task, variant: str, seed: int, path: Path, steps: int) -> Job:
    """One cell as an `akd distill` of its own."""
    method, ideas = parsed(variant)
    if method not in task.methods:
        raise ConfigError(f"{method} does not fit this task's teacher; there are {', '.join(task.methods)}")
    told = {"name": method, **task.knobs_of(variant)}
    plan_of(parse_method(told), parse_ideas(ideas), EXAMPLE)  # fails here, not in a child
    knobs = yaml.safe_dump(told, default_flow_style=True, width=10_000).strip()
    arguments = ["distill", "--teacher", str(path.parent / "teacher"), *task.student, "--set", f"method={knobs}"]
    arguments += [word for idea in ideas for word in ("--with", idea)]
    arguments += ["--steps", str(steps), "--seed", str(seed), "--threads", "1", "--device", "cpu"]
    return Job((*arguments, "--out", str(path)), path.with_name(f"{path.name}.log"))


def _claim(out: Path, task: str) -> None:
    """One task and length a folder: its teachers are shared by whatever is compared there later."""
    told = out / "task"
    with one_line(out):
        out.mkdir(parents=True, exist_ok=True)
        if not told.exists() and any(out.iterdir()):
            raise ConfigError(f"{out} holds files that are no bench's; choose another --out")
        if told.exists() and told.read_text() != task:
            raise ConfigError(f"{out} holds a bench of {told.read_text()}; choose another --out")
    write_text(told, task)


def _teacher(task: Task, data: str | None, seed: int, folder: Path) -> Classifier:
    if not (folder / "config.json").exists():
        save_model(task.teacher(data, seed), folder)
    return load_model(str(folder))


def _diverged(path: Path) -> str:
    """Why the run at `path` went wrong and was ended; '' where it was not."""
    return str(json_object(path / "diverged.json").get("reason", ""))


def _measured(variant: str, seed: int, path: Path, teacher: Classifier, test: TestSet) -> dict[str, Any]:
    folder = RunFolder(path)
    where = folder.environment()
    told = {"variant": variant, "seed": seed}
    conditions = {key: where[key] for key in ("device", "precision", "threads", "torch", "akd", "python")}
    if reason := _diverged(path):
        return {**told, "diverged": reason, **conditions}
    found, run = evaluate(load_model(str(path)), test, teacher), folder.result()
    measured = {"top1": found.top1, "agreement": found.agreement, "n": found.n}
    return {**told, **measured, **{key: run[key] for key in ("params", "ratio", "steps", "seconds")}, **conditions}


def table(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a variant: mean and deviation over seeds, and of its difference to the first variant, seed by seed.

    Runs that diverged are counted and in no mean; None where none is left.
    """
    variants = list(dict.fromkeys(cell["variant"] for cell in cells))
    ended = [cell for cell in cells if "diverged" not in cell]
    by = {variant: {cell["seed"]: cell for cell in ended if cell["variant"] == variant} for variant in variants}
    first = by[variants[0]]
    rows = []
    for variant, mine in by.items():
        top1 = [cell["top1"] for cell in mine.values()]
        more = [cell["top1"] - first[seed]["top1"] for seed, cell in mine.items() if seed in first]
        rows.append(
            {
                "variant": variant,
                "n": len(top1),
                "diverged": sum(cell["variant"] == variant for cell in cells) - len(top1),
                "top1": _mean(top1),
                "deviation": _deviation(top1),
                "agreement": _mean([cell["agreement"] for cell in mine.values()]),
                "seconds": _mean([cell["seconds"] for cell in mine.values()]),
                "more": _mean(more),
                "more_deviation": _deviation(more),
            }
        )
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
