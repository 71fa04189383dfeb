"""Where a student differs from its teacher on a test set: class by class, pair by pair, and in how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from akd.evaluation.metrics import Answers, by_confidence, calibration_error, percent


@dataclass(frozen=True)
class ClassRow:
    """One class: its test images, and what part of them each network has right, in percent.

    `lost`: the points by which the student is below the teacher; `agreement`: of the images in which the teacher sees this
    class, the share in which the student does, in percent; `instead`: what the student sees most often in the
    others. None: no such images, or no teacher.
    """

    name: str
    images: int
    student: float | None
    teacher: float | None
    lost: float | None
    agreement: float | None
    instead: str | None


@dataclass(frozen=True)
class Bin:
    """Images of like confidence: how many, how sure the network was and how often right, in percent."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Details:
    """`confusion`: (class the teacher sees, class the student sees, images) where there are any, most images first.

    `calibration` and `ece` (percent) by network, "student" and "teacher"; bins without images are left out.
    """

    names: tuple[str, ...]
    classes: list[ClassRow]
    confusion: list[tuple[int, int, int]]
    calibration: dict[str, list[Bin]]
    ece: dict[str, float]


def details(answers: Answers) -> Details:
    """Everything about the answers that one number does not tell."""
    known = {"student": answers.model} | ({} if answers.teacher is None else {"teacher": answers.teacher})
    counts = None if answers.teacher is None else _confusion(answers.teacher.argmax(1), answers.model.argmax(1), answers)
    return Details(
        names=answers.names,
        classes=[_row(answers, counts, i) for i in range(len(answers.names))],
        confusion=[] if counts is None else _listed(counts),
        calibration={who: _bins(logits, answers.labels) for who, logits in known.items()},
        ece={who: calibration_error(logits, answers.labels) for who, logits in known.items()},
    )


def _confusion(rows: Tensor, columns: Tensor, answers: Answers) -> Tensor:
    k = len(answers.names)
    return torch.bincount(rows * k + columns, minlength=k * k).view(k, k)


def _listed(counts: Tensor) -> list[tuple[int, int, int]]:
    found = [(t, s, int(counts[t, s])) for t, s in counts.nonzero().tolist()]
    return sorted(found, key=lambda cell: -cell[2])


def _row(answers: Answers, counts: Tensor | None, i: int) -> ClassRow:
    mine = answers.labels == i
    ours, theirs = (
        None if logits is None or not mine.any() else percent(logits[mine].argmax(1) == i)
        for logits in (answers.model, answers.teacher)
    )
    lost = None if ours is None or theirs is None else theirs - ours
    agreement, instead = None, None
    if counts is not None and (seen := int(counts[i].sum())):
        agreement = 100 * int(counts[i, i]) / seen
        others = counts[i].clone()
        others[i] = 0
        instead = answers.names[int(others.argmax())] if others.any() else None
    return ClassRow(answers.names[i], int(mine.sum()), ours, theirs, lost, agreement, instead)


def _bins(logits: Tensor, labels: Tensor) -> list[Bin]:
    bins = zip(*(part.tolist() for part in by_confidence(logits, labels)), strict=True)
    return [Bin(int(n), 100 * sure / n, 100 * hits / n) for n, hits, sure in bins if n]
