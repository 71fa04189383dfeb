"""The embedded default: digits teacher on real data, two students without, all measured on the held-out digits.

Each student is an `akd distill` of its own, a process that never had the data in its memory; the two share the cores.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
import torch.nn.functional as F

from akd.errors import AkdError, ConfigError, Stopped
from akd.evaluation.data import load_test_set
from akd.evaluation.digits import digits_split
from akd.evaluation.metrics import Evaluation, evaluate
from akd.files import one_line, write_json
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model, save_model
from akd.runtime import threads
from akd.synthesis.augment import shift

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


def train_teacher(seed: int, watch: Watch) -> Classifier:
    """A small convolutional net trained on the digits' training split, shifted by up to a pixel."""
    digits = digits_split()
    images, labels = digits.train_images.float() / 255, digits.train_labels
    arguments = {"widths": list(TEACHER_WIDTHS)}
    card = ModelCard("digitsnet", 10, digits.mean, digits.std, (1, 8, 8), arguments, digits.label_names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = Classifier(zoo.build("digitsnet", 10, card.input_size, **arguments), card)
        steps = TEACHER_EPOCHS * (len(labels) // 64)
        optimiser = torch.optim.Adam(teacher.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
        for step in range(steps):
            pick = torch.randint(len(labels), (64,))
            loss = F.cross_entropy(teacher.train()(shift(images[pick], 1, flip=False)), labels[pick], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 50 == 0 or step == steps - 1:
                watch("teacher on real digits", (step + 1) / steps, f"loss {loss.item():.3f}")
    return teacher.freeze()


def _start(teacher: Path, budget: str, out: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "akd", "distill", "--teacher", str(teacher), "--budget", budget]
    command += ["--steps", str(STEPS), "--seed", str(seed), "--threads", "1", "--device", "cpu", "--out", str(out)]
    with open(out.with_suffix(".log"), "wb") as words:  # a pipe nobody reads would fill
        return subprocess.Popen([*command, "--json"], stdout=subprocess.DEVNULL, stderr=words, preexec_fn=_end_with_parent)


def _end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies, however it dies: no orphan goes on in the run folder (Linux)."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _stop(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped("stopped; start the same command again to go on")


def _progress(run: Path) -> tuple[float, str]:
    try:
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        return last["progress"], f"agreement on synthetic probe {last['probe_agreement']:.0f} %"
    except (OSError, IndexError, ValueError, KeyError):
        return 0.0, "starting"


def distil_students(teacher: Path, out: Path, seed: int, watch: Watch) -> list[Path]:
    """Both students at once; the run folders. AkdError with the child's own words where one fails."""
    runs = [out / f"student-{budget.rstrip('%')}pct" for budget in BUDGETS]
    handler = signal.signal(signal.SIGTERM, _stop)
    children = [_start(teacher, budget, run, seed) for budget, run in zip(BUDGETS, runs, strict=True)]
    try:
        while any(child.poll() is None for child in children) and not any(child.returncode for child in children):
            time.sleep(0.3)
            for budget, run in zip(BUDGETS, runs, strict=True):
                watch(f"student {budget}, no data", *_progress(run))
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()
        codes = [child.wait() for child in children]
        signal.signal(signal.SIGTERM, handler)
    # A child that failed of itself is told before one that was stopped (75) because the other failed.
    for budget, run, code in sorted(zip(BUDGETS, runs, codes, strict=True), key=lambda row: row[2] != 75, reverse=True):
        words = run.with_suffix(".log").read_text(errors="replace").strip().splitlines()
        if code:
            raise AkdError(words[-1].removeprefix("akd: ") if words else f"a distillation ended with code {code}")
        watch(f"student {budget}, no data", *_progress(run))
        run.with_suffix(".log").unlink()
    return runs


def _row(measured: Evaluation, teacher: Evaluation, seconds: float) -> dict[str, Any]:
    sizes = {"params": measured.params, "ratio": measured.params / teacher.params, "macs": measured.macs}
    return {**sizes, "accuracy": measured.top1, "seconds": round(seconds, 1)}


@threads(1)  # nets this small gain nothing from a second thread, and lose much where the other core is busy
def run_quickstart(out: Path, seed: int = 0, watch: Watch = lambda part, progress, note: None) -> dict[str, Any]:
    """Teacher, two students and the table as a JSON-ready dict; goes on where an interrupted one with this seed stopped."""
    clock = Stopwatch(out / "seconds.json")

    def timed(part: str, progress: float, note: str) -> None:
        clock.read()
        watch(part, progress, note)

    teacher_folder, notes = out / "teacher", out / "teacher" / "training.json"
    with one_line(teacher_folder):
        teacher_folder.mkdir(parents=True, exist_ok=True)
    if notes.exists():
        trained = json.loads(notes.read_text())
        if trained["seed"] != seed:
            raise ConfigError(
                f"{out} holds a quickstart with seed {trained['seed']}; give --seed {trained['seed']} or another --out"
            )
        teacher = load_model(str(teacher_folder))
    else:
        teacher = train_teacher(seed, timed)
        save_model(teacher, teacher_folder)
        trained = {"seed": seed, "seconds": clock.read(), "epochs": TEACHER_EPOCHS}
        write_json(notes, trained)
    runs = distil_students(teacher_folder, out, seed, timed)
    test = load_test_set("digits", teacher.card)
    of_teacher = evaluate(teacher, test)
    students = []
    for budget, run in zip(BUDGETS, runs, strict=True):
        measured = evaluate(load_model(str(run)), test, teacher)
        seconds = json.loads((run / "result.json").read_text())["seconds"]
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
