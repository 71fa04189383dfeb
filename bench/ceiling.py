"""The ceilings of a run: its student trained on the real images, by their labels and by the teacher's answers to them.

    python bench/ceiling.py --out runs/ceiling-10pct --data DIR -- --teacher runs/teacher --recipe cifar100-10pct --steps 20000

DIR holds train-*.parquet and test-*.parquet; what stands after `--` are options of `akd distill`, with --steps. Both students
begin with the run's first weights and have its optimiser, its batch size and shifted images for as many steps; the last state
is measured. The same command goes on after an interruption. A line for each goes to results/ceilings.jsonl.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from record import append
from torch import Tensor

from akd.commands import distill
from akd.config import Run
from akd.evaluation.data import load_test_set
from akd.evaluation.metrics import evaluate
from akd.ideas import plan_of
from akd.methods.plan import shifted
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import save_model
from akd.objectives.logits import kl
from akd.objectives.terms import at
from akd.options import Parser, run_of
from akd.runfolder import RunFolder, environment
from akd.runner import make_student
from akd.runtime import Rng, Runtime, make_runtime, same_shapes, set_threads
from akd.state import student_optimiser
from akd.teachers import load_teacher

TEMPERATURE = 4.0
KEEP = 20.0  # seconds between checkpoints


def training_set(folder: Path, card: ModelCard) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels [N] of every train-*.parquet."""
    parts = [load_test_set(str(file), card) for file in sorted(folder.glob("train-*.parquet"))]
    if not parts:
        raise SystemExit(f"there is no train-*.parquet in {folder}; give --data DIR with one or more")
    return torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])


class Training:
    """A student that learns by the labels, or by the answers of `teacher` where there is one. Goes on from its checkpoint."""

    def __init__(self, run: Run, student: Classifier, teacher: Classifier | None, runtime: Runtime, folder: RunFolder):
        self.plan = plan_of(run.method, run.ideas, student.card)
        self.run, self.student, self.teacher, self.runtime = run, student, teacher, runtime
        self.folder, self.rng = folder, Rng(run.seed, runtime.device)
        self.view = shifted(student.card)
        self.optimiser = student_optimiser(self.plan.optimiser, list(student.parameters()))
        self.step, self.seconds = 0, 0.0

    def go_on(self) -> None:
        """From the checkpoint, where there is one."""
        if (self.folder / "checkpoint.pt").exists():
            saved = self.folder.load_checkpoint()
            self.student.load_state_dict(saved["student"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.rng.state, self.step, self.seconds = saved["rng"], saved["step"], saved["seconds"]

    def save(self) -> None:
        parts = {"student": self.student.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.folder.save_checkpoint({**parts, "rng": self.rng.state, "step": self.step, "seconds": self.seconds})

    def whole(self, images: Tensor, labels: Tensor) -> None:
        """All steps; `seconds` are those of all attempts, to within KEEP."""
        began, kept = time.monotonic() - self.seconds, time.monotonic()
        while self.step < self.run.steps:
            with self.rng.here():
                self.learn(images, labels)
            self.step += 1
            if time.monotonic() - kept > KEEP or self.step == self.run.steps:
                self.seconds, kept = time.monotonic() - began, time.monotonic()
                self.save()

    def learn(self, images: Tensor, labels: Tensor) -> None:
        pick = torch.randint(len(labels), (self.plan.batch_size,), device=labels.device)
        batch = self.view(images[pick].float() / 255, self.student)
        self.optimiser.param_groups[0]["lr"] = at(self.plan.optimiser.lr, self.step / self.run.steps)
        with self.runtime.autocast():
            answer = self.student.train()(batch).float()
            with torch.no_grad():
                told = self.teacher(batch).float() if self.teacher else None
        loss = F.cross_entropy(answer, labels[pick]) if told is None else kl(answer, told, TEMPERATURE)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--dry", action="store_true", help="print the lines, record none")
    p.add_argument("distill", nargs="+", help="options of `akd distill`, after --")
    a = p.parse_args()
    parser = Parser(prog="akd distill")
    distill.add_options(parser)
    run = run_of(parser.parse_strictly(a.distill))
    if run.steps is None:
        raise SystemExit("a ceiling takes as many steps as a run; give --steps N after --")
    set_threads(run.threads)
    teacher = load_teacher(run)
    runtime = make_runtime(run.device, run.precision, min(teacher.card.input_size[1:]))
    teacher = runtime.place(teacher)
    images, labels = (part.to(runtime.device) for part in training_set(a.data, teacher.card))
    test = load_test_set(str(a.data), teacher.card)
    for by in ("labels", "teacher"):
        student = runtime.place(make_student(run, teacher))
        folder = RunFolder(a.out / by)
        training = Training(run, student, teacher if by == "teacher" else None, runtime, folder)
        with folder.claimed(run):  # by no other options than it began with
            folder.write_config(run)
            training.go_on()
            with same_shapes():
                training.whole(images, labels)
        save_model(student, folder / "student")
        found = evaluate(student, test, teacher)
        kept = {key: getattr(found, key) for key in ("top1", "top5", "agreement", "n", "params")}
        asked = {"teacher": teacher.card.architecture, "student": run.budget or run.student, "by": by, "seed": run.seed}
        settings = {"batch": training.plan.batch_size, "steps": run.steps, "seconds": round(training.seconds, 1)}
        append("ceilings", {**asked, **kept, "teacher_top1": found.teacher_top1, **settings}, environment(runtime), dry=a.dry)


if __name__ == "__main__":
    main()
