"""A run folder becomes values: what the files say, and what teacher, student and images say when they are asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from akd import __version__
from akd.config import from_dict
from akd.console import Tell
from akd.errors import AkdError, ConfigError, DataError, ModelError
from akd.evaluation.data import TestSet, load_test_set
from akd.evaluation.details import details
from akd.evaluation.metrics import Look, ask, judge, percent, ranked
from akd.files import lacking
from akd.networks import measure
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model
from akd.networks.weights import load_strict, read_state_dict
from akd.report.record import evenly, read_run, student_folder
from akd.report.synthetic import collapse, look, sample_of, wanted
from akd.runfolder import RunFolder, environment
from akd.runtime import Rng, make_runtime
from akd.synthesis.bank import eight_bit
from akd.synthesis.pictures import pictures
from akd.teachers import teacher_of


@dataclass(frozen=True)
class Sources:
    """What is asked beside the run folders: a test set, a teacher in place of the runs' own, where to compute."""

    data: str | None = None
    teacher: str | None = None
    device: str = "auto"


class Teacher:
    """A teacher, and what it says of a test set and of the yardsticks: asked once for all runs that share it."""

    def __init__(self, model: Classifier, data: str | None, device: torch.device, tell: Tell):
        self.model, self.device = model, device
        self.test = None if data is None else load_test_set(data, model.card)
        self.logits = (
            None if self.test is None else ask(model, self.test, device=device, look=partial(tell, "asking the teacher")).model
        )
        tell("the teacher on formula pictures and real images", None)
        count = wanted(model)
        with Rng(0).here():
            formulas = eight_bit(pictures(count, model.card))
        self.yardsticks = {"formula pictures": look(model, formulas, device)}
        if self.test is not None:
            real = self.test.images[evenly(len(self.test.images), count)]
            self.yardsticks["real test images"] = look(model, real, device)


def gather(paths: list[Path], sources: Sources, tell: Tell = lambda doing, done: None) -> dict[str, Any]:
    """Everything a report on these run folders holds, JSON-ready. What cannot be had is left None, and `missing` says why.

    Raises ConfigError where a path is no run or one of which there is nothing to tell yet, DataError where the test set does
    not fit; a teacher that is gone, or is not the one that a run had, only makes its report shorter.
    """
    runs = [read_run(path) for path in paths]
    for run, path in zip(runs, paths, strict=True):
        if not run["metrics"] and not (path / "checkpoint.pt").exists():
            raise ConfigError(lacking(path, "checkpoint"))
    _tell_apart(runs)
    here = environment(make_runtime(sources.device, "fp32"))
    known: dict[str, Teacher] = {}
    for run in runs:
        run.update(_ask_networks(run, sources, known, tell))
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "akd": __version__,
        "data": sources.data,
        "here": here,
        "runs": runs,
    }


def _tell_apart(runs: list[dict[str, Any]]) -> None:
    """Runs of one folder name go by their path."""
    names = [run["name"] for run in runs]
    for run in runs:
        run["name"] = run["path"] if names.count(run["name"]) > 1 else run["name"]


def _ask_networks(run: dict[str, Any], sources: Sources, known: dict[str, Teacher], tell: Tell) -> dict[str, Any]:
    """What teacher and student say, as further values of `run`; `missing` tells by part why it is not there."""
    missing: dict[str, str] = {}
    found: dict[str, Any] = {"missing": missing, "teacher": None, "student": None, "synthetic": None, "measured": None}
    teacher = student = None
    try:
        teacher = _teacher(run, sources, known, tell)
        found["teacher"] = _costs(teacher.model)
        tell(f"{run['name']}: the images it learned from", None)
        found["synthetic"] = _synthetic(run, teacher)
    except (DataError, ModelError):  # of what this command was told, not of what the run left
        raise
    except AkdError as error:
        missing["synthetic" if teacher else "teacher"] = str(error)
    try:
        student = _student(run)
        found["student"] = _costs(student)
    except AkdError as error:
        missing["student"] = str(error)
    test = teacher.test if teacher else None
    if student and sources.data is not None:
        test = test or load_test_set(sources.data, student.card)
        try:
            look = partial(tell, f"{run['name']}: asking the student")
            found["measured"] = _measured(student, teacher, test, make_runtime(sources.device).device, look)
            found["measured"]["curve"] = _curve(run, student, teacher, test, make_runtime(sources.device).device, look)
        except ModelError as error:
            missing["measured"] = str(error)
    network = student or (teacher and teacher.model)
    found["classes"] = _names(network.card, test) if network else None
    return found


def _teacher(run: dict[str, Any], sources: Sources, known: dict[str, Teacher], tell: Tell) -> Teacher:
    """The run's teacher, or the one that is named, which must be the same; ConfigError where its weights are others."""
    key = run["environment"].get("teacher_sha256") or run["path"]
    if key not in known:
        model = teacher_of(RunFolder(Path(run["path"])), sources.teacher)
        known[key] = Teacher(model, sources.data, make_runtime(sources.device).device, tell)
    return known[key]


def _student(run: dict[str, Any]) -> Classifier:
    """The student that was handed over, or the last good one of a run that diverged."""
    path = Path(run["path"])
    folder = student_folder(path)
    if folder is None:
        raise ConfigError(lacking(path, "student"))
    return load_model(str(folder), arch=run["config"].get("student"))


def _costs(model: Classifier) -> dict[str, Any]:
    size, told = model.card.input_size, model.card.arguments.get("widths")
    widths = ["-".join(map(str, told))] if isinstance(told, list) else []
    return {
        "architecture": model.card.architecture,
        "named": " ".join([model.card.architecture, *widths]),
        "params": measure.parameters(model),
        "macs": measure.macs(model, size),
        "latency_ms": measure.latency(model, size),
        "input_size": list(size),
        "num_classes": model.card.num_classes,
    }


def _synthetic(run: dict[str, Any], teacher: Teacher) -> dict[str, Any]:
    """What the teacher sees in the run's images, and beside it in its yardsticks."""
    sample = sample_of(Path(run["path"]), from_dict(run["config"]), teacher.model)
    mine = look(teacher.model, sample.images, teacher.device)
    looks = {"synthetic": mine, **teacher.yardsticks}
    values = {"source": sample.source, "made": sample.made, "collapse": collapse(mine)}
    return {**values, "looks": {name: asdict(found) for name, found in looks.items()}}


def _measured(student: Classifier, teacher: Teacher | None, test: TestSet, device: torch.device, look: Look) -> dict[str, Any]:
    """The evaluation and its details; no pair needs checking, since the run made the one from the other."""
    answers = replace(ask(student, test, device=device, look=look), teacher=teacher.logits if teacher else None)
    return {"data": test.name, **asdict(judge(student, answers)), "details": asdict(details(answers))}


def _curve(
    run: dict[str, Any], student: Classifier, teacher: Teacher | None, test: TestSet, device: torch.device, look: Look
) -> list[dict[str, Any]]:
    """Accuracy and agreement in percent of the run's snapshots, by step and seconds; those that cannot be read are left out.

    `student` is what they are loaded into."""
    seconds = {line["step"]: line["seconds"] for line in run["metrics"]}
    points = []
    for step, file in RunFolder(Path(run["path"])).snapshots().items():
        if step not in seconds:
            continue
        try:
            load_strict(student.net, read_state_dict(file), student.card.architecture)
        except ModelError:
            continue
        # Not `judge`, which would time the network anew for each.
        logits, theirs = ask(student, test, device=device, look=look).model, teacher.logits if teacher else None
        top1 = percent(ranked(logits)[:, 0] == test.labels)
        agreement = None if theirs is None else percent(theirs.argmax(1) == logits.argmax(1))
        points.append({"step": step, "seconds": seconds[step], "top1": top1, "agreement": agreement})
    return points


def _names(card: ModelCard | None, test: TestSet | None) -> list[str] | None:
    """The classes' names: the model's own, or else the test set's, or else their numbers; None where no model is known."""
    if card is None:
        return None
    return list(card.label_names or (test and test.label_names) or map(str, range(card.num_classes)))
