"""How good a classifier is on a test set, and how like its teacher. Accuracies are in percent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from akd.errors import ModelError
from akd.evaluation.data import TestSet
from akd.networks import measure
from akd.networks.classifier import Classifier, distinct
from akd.objectives.logits import kl

BINS = 15
Look = Callable[[float], None]  # is told how much is done, in 0..1


def nobody(done: float) -> None:
    """Looks on at nothing."""


@dataclass(frozen=True)
class Evaluation:
    """A model's results, ready for JSON: accuracies, `ece` and `agreement` in percent, `nll` and `mean_kl` in nats.

    `latency_ms` is for one image on the CPU. None: `top5` of fewer than six classes, a class without images, and what
    compares with a teacher where none was given. doubt: as in `TestSet`.
    """

    n: int
    top1: float
    top5: float | None
    per_class: dict[str, float | None]
    ece: float
    nll: float
    params: int
    macs: int
    latency_ms: float
    agreement: float | None = None
    mean_kl: float | None = None
    teacher_top1: float | None = None
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits float64 [N, K] of a model and of its teacher (None: not asked), labels [N], and K names that differ."""

    model: Tensor
    teacher: Tensor | None
    labels: Tensor
    names: tuple[str, ...]
    doubt: str = ""


def evaluate(
    model: Classifier,
    test_set: TestSet,
    teacher: Classifier | None = None,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    look: Look = nobody,
) -> Evaluation:
    """Judge `model` on `test_set`, and against `teacher` where one is given, in eval mode and without gradients.

    `device`: where to compute, None for where each network is; both are left as they were, mode and place. Ties between
    logits go to the lower class; `look` is told how far it is. Raises ModelError where a network gives NaN or
    teacher and model do not go together.
    """
    return judge(model, ask(model, test_set, teacher, batch_size, device, look))


def ask(
    model: Classifier,
    test_set: TestSet,
    teacher: Classifier | None = None,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    look: Look = nobody,
) -> Answers:
    """What `model`, and `teacher` where one is given, say of every image; arguments and errors as for `evaluate`."""
    if teacher is not None:
        _check_pair(model, teacher)
    names = test_set.label_names or tuple(map(str, range(model.card.num_classes)))
    half = 1.0 if teacher is None else 0.5
    logits = _logits(model, test_set.images, batch_size, device, lambda done: look(half * done))
    theirs = None
    if teacher is not None:
        theirs = _logits(teacher, test_set.images, batch_size, device, lambda done: look(half + half * done))
    return Answers(logits, theirs, test_set.labels, tuple(distinct(names)), test_set.doubt)


def judge(model: Classifier, answers: Answers) -> Evaluation:
    """The results of `model`, whose answers these are."""
    logits, theirs, labels = answers.model, answers.teacher, answers.labels
    ranking = ranked(logits)
    hits = ranking == labels[:, None]
    mine = [hits[labels == i, 0] for i in range(logits.shape[1])]
    size = model.card.input_size
    return Evaluation(
        n=len(labels),
        top1=percent(hits[:, 0]),
        top5=percent(hits[:, :5].any(1)) if logits.shape[1] > 5 else None,
        per_class={name: percent(own) if len(own) else None for name, own in zip(answers.names, mine, strict=True)},
        ece=calibration_error(logits, labels),
        nll=F.cross_entropy(logits, labels).item(),
        params=measure.parameters(model.net),
        macs=measure.macs(model.net, size),
        latency_ms=measure.latency(model.net, size),
        agreement=None if theirs is None else percent(theirs.argmax(1) == logits.argmax(1)),
        mean_kl=None if theirs is None else kl(logits, theirs).item(),
        teacher_top1=None if theirs is None else percent(theirs.argmax(1) == labels),
        doubt=answers.doubt,
    )


def ranked(logits: Tensor) -> Tensor:
    """Classes int64 [N, K] by logits [N, K], the highest first; of equal ones the lower class."""
    return logits.sort(dim=1, descending=True, stable=True).indices


def calibration_error(logits: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Expected calibration error of logits [N, K], in percent: |accuracy − confidence| by bin, weighted by its images.

    Bins of equal width over the confidence of the chosen class, closed on the right (Guo et al. 2017, eq. 3).
    """
    _, hits, confidence = by_confidence(logits, labels, bins)
    return 100 * (hits - confidence).abs().sum().item() / len(labels)


def by_confidence(logits: Tensor, labels: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """For each bin of confidence, as in `calibration_error`: images, right answers, sum of confidences; float64 [bins]."""
    confidence, choice = logits.double().softmax(1).max(1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    which = torch.bucketize(confidence, edges[1:-1])

    def in_bins(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=torch.float64).index_add_(0, which, values.double())

    return in_bins(torch.ones_like(confidence)), in_bins(choice == labels), in_bins(confidence)


def percent(hits: Tensor) -> float:
    """Share of true values in [N]."""
    return 100 * int(hits.sum()) / len(hits)


def _logits(model: Classifier, images: Tensor, batch_size: int, device: torch.device | str | None, look: Look) -> Tensor:
    """Logits float64 [N, K] on the CPU for images uint8 [N, C, H, W]."""
    place = torch.device(device) if device is not None else model.mean.device
    parts = []
    with lent(model, place), torch.no_grad():
        for i, batch in enumerate(torch.split(images, batch_size)):
            look(i * batch_size / len(images))
            parts.append(model(batch.to(place, model.mean.dtype) / 255).double().cpu())
    logits = torch.cat(parts)
    if logits.shape[1:] != (model.card.num_classes,):
        raise ModelError(f"the network's output is {list(logits.shape)}, not one number per class; check --num-classes")
    if not logits.isfinite().all():
        raise ModelError("the network gives NaN or infinite logits: its weights are damaged; take an earlier state")
    return logits


@contextmanager
def lent(model: Classifier, device: torch.device) -> Iterator[None]:
    """The model on `device` and in eval mode; afterwards every module has its own mode and the model its own place."""
    home, modes = model.mean.device, [(module, module.training) for module in model.modules()]
    try:
        model.to(device).eval()
        yield
    finally:
        model.to(home)
        for module, mode in modes:
            module.training = mode


def _check_pair(model: Classifier, teacher: Classifier) -> None:
    ours, theirs = model.card, teacher.card
    if (ours.num_classes, ours.input_size) != (theirs.num_classes, theirs.input_size):
        raise ModelError(
            f"the teacher knows {theirs.num_classes} classes of images {theirs.input_size}, the model "
            f"{ours.num_classes} of {ours.input_size}; name the teacher that it was distilled from"
        )
    names, known = ours.label_names, theirs.label_names
    if names and known and names != known and set(names) == set(known):
        raise ModelError("teacher and model order their classes differently; name the teacher it was distilled from")
