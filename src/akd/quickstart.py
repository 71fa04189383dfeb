"""The embedded default: digits teacher on real data, two students without, all measured on the held-out digits.

Each student is an `akd distill` of its own, a process that never had the data in its memory; the two share the cores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from akd.config import check_seed
from akd.errors import ConfigError
from akd.evaluation.data import load_test_set
from akd.evaluation.digits import digits_split
from akd.evaluation.metrics import Evaluation, evaluate
from akd.files import one_line, write_json
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model, save_model
from akd.processes import Job, run_together
from akd.runfolder import RunFolder, json_object
from akd.runtime import threads
from akd.training import train_teacher

BUDGETS = ("10%", "20%")
STEPS = 3000
TEACHER_EPOCHS = 40
TEACHER_WIDTHS = (32, 64, 128)
KEEP = 1.0  # seconds

Watch = Callable[[str, float, str], None]
"""Called with (part, progress 0..1, a note) as the parts go on."""


class Stopwatch:
    """Seconds of all attempts at one thing together: a file keeps those of attempts that were cut short, to within KEEP."""

    def __init__(self, file: Path):
        self.file, self.began, self.kept = file, time.monotonic(), 0.0
        try:
            self.earlier = float(json.loads(file.read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            self.earlier = 0.0

    def read(self) -> float:
        now = time.monotonic() - self.began
        if now - self.kept >= KEEP:
            self.kept = now
            write_json(self.file, {"seconds": self.earlier + now})
        return self.earlier + now


def digits_teacher(seed: int, watch: Callable[[float, str], None] = lambda progress, note: None) -> Classifier:
    """A small convolutional net trained on the digits' training split."""
    digits = digits_split()
    arguments = {"widths": list(TEACHER_WIDTHS)}
    card = ModelCard("digitsnet", 10, digits.mean, digits.std, (1, 8, 8), arguments, digits.label_names)
    return train_teacher(card, digits.train_images, digits.train_labels, epochs=TEACHER_EPOCHS, seed=seed, watch=watch)


def _job(teacher: Path, budget: str, out: Path, seed: int) -> Job:
    told = ("distill", "--teacher", str(teacher), "--budget", budget, "--steps", str(STEPS), "--seed", str(seed))
    return Job((*told, "--threads", "1", "--device", "cpu", "--out", str(out)), out.with_suffix(".log"))


def _progress(run: Path) -> tuple[float, str]:
    last = RunFolder(run).last_report()
    return (last["progress"], f"agreement on synthetic probe {last['probe_agreement']:.0f} %") if last else (0.0, "starting")


def distil_students(teacher: Path, out: Path, seed: int, watch: Watch) -> list[Path]:
    """Both students at once; the run folders."""
    runs = [out / f"student-{budget.rstrip('%')}pct" for budget in BUDGETS]

    def look() -> None:
        for budget, run in zip(BUDGETS, runs, strict=True):
            watch(f"student {budget}, no data", *_progress(run))

    jobs = [_job(teacher, budget, run, seed) for budget, run in zip(BUDGETS, runs, strict=True)]
    run_together(jobs, len(jobs), look)
    return runs


def _row(measured: Evaluation, teacher: Evaluation, seconds: float) -> dict[str, Any]:
    sizes = {"params": measured.params, "ratio": measured.params / teacher.params, "macs": measured.macs}
    return {**sizes, "accuracy": measured.top1, "seconds": round(seconds, 1)}


@threads(1)  # nets this small gain nothing from a second thread, and lose much where the other core is busy
def run_quickstart(out: Path, seed: int = 0, watch: Watch = lambda part, progress, note: None) -> dict[str, Any]:
    """Teacher, two students and the table as a JSON-ready dict; goes on where an interrupted one with this seed stopped."""
    check_seed(seed)
    teacher_folder, notes = out / "teacher", out / "teacher" / "training.json"
    with one_line(teacher_folder):
        if not (out / "seconds.json").exists() and any(file.is_file() for file in out.rglob("*")):
            raise ConfigError(f"{out} holds files that are no quickstart's; choose another --out")
        teacher_folder.mkdir(parents=True, exist_ok=True)
    clock = Stopwatch(out / "seconds.json")

    def timed(part: str, progress: float, note: str) -> None:
        clock.read()
        watch(part, progress, note)

    if notes.exists():
        trained = json_object(notes)
        if not {"seed", "seconds"} <= trained.keys():
            raise ConfigError(f"{notes} is damaged; choose another --out")
        if trained["seed"] != seed:
            raise ConfigError(
                f"{out} holds a quickstart with seed {trained['seed']}; give --seed {trained['seed']} or another --out"
            )
        teacher = load_model(str(teacher_folder))
    else:
        teacher = digits_teacher(seed, lambda progress, note: timed("teacher on real digits", progress, note))
        save_model(teacher, teacher_folder)
        trained = {"seed": seed, "seconds": clock.read(), "epochs": TEACHER_EPOCHS}
        write_json(notes, trained)
    runs = distil_students(teacher_folder, out, seed, timed)
    test = load_test_set("digits", teacher.card)
    of_teacher = evaluate(teacher, test)
    students = []
    for budget, run in zip(BUDGETS, runs, strict=True):
        measured = evaluate(load_model(str(run)), test, teacher)
        seconds = RunFolder(run).result()["seconds"]
        students.append({"budget": budget, **_row(measured, of_teacher, seconds), "agreement": measured.agreement})
    result = {
        "teacher": _row(of_teacher, of_teacher, trained["seconds"]),
        "students": students,
        "test_images": of_teacher.n,
        "seed": seed,
        "seconds": round(clock.read(), 1),
        "out": str(out),
    }
    write_json(out / "quickstart.json", result)
    return result
