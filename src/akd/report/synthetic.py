"""The images a run learned from, as its teacher sees them: how varied they are, and how like the teacher's own data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from akd.config import Run
from akd.delivery.synthetic import left_by
from akd.errors import AkdError
from akd.networks.classifier import Classifier
from akd.networks.taps import batch_norms, tapped
from akd.objectives.images import batch_moments
from akd.report.record import evenly
from akd.runtime import Rng, Runtime

LEAST, PER_CLASS = 1000, 20  # images looked at: at least this many, and so many a class
BATCH = 128
MOST_OF_CLASS = 500  # images of which all pairs are compared
SIDE = 32  # pixels a side at which images are compared
ALIKE = 0.02  # RMS difference, of the range of a pixel, below which nobody tells two images apart
FEW_CLASSES, MANY_COPIES = 0.5, 0.1


@dataclass(frozen=True, eq=False)
class Sample:
    """Images uint8 [N, C, H, W] of a run, oldest first, and where they are from; `made`: how many it made, if it counts."""

    images: Tensor
    made: int | None
    source: str


@dataclass(frozen=True)
class Layer:
    """A BatchNorm layer and how far a set of images is from the statistics it remembers of the teacher's own data.

    mean: |mu - mu_T| / |sigma_T|; variance: |var - var_T| / |var_T|, norms over the channels; 0 is as on those data.
    """

    name: str
    mean: float
    variance: float


@dataclass(frozen=True)
class Look:
    """What a teacher sees in a set of n images.

    seen: images by the class it sees; classes: exp of that histogram's entropy, the number of classes if all were alike;
    confidence: mean, in percent; distance: mean cosine distance of two images' features (None: the teacher has none);
    within: mean RMS difference of two images of one class, in percent of a pixel's range (None: no class has two);
    copies: images, in percent, that have one in the set nobody would tell from them; layers: None without BatchNorm.
    """

    n: int
    seen: list[int]
    classes: float
    confidence: float
    distance: float | None
    within: float | None
    copies: float
    layers: list[Layer] | None


def sample_of(path: Path, run: Run, teacher: Classifier) -> Sample:
    """Images the run learned from, evenly over its bank; fresh ones from its maker where it keeps no bank.

    AkdError where there is no checkpoint, or none that fits.
    """
    left = left_by(path, teacher, Runtime(torch.device("cpu")))
    if left.made == 0:
        raise AkdError("the run has made no images yet; report on it again in a while")
    if left.made is not None:
        words = f"evenly over the last {len(left.bank):,} of {left.made:,} that were made"
        return Sample(left.bank[torch.tensor(evenly(len(left.bank), wanted(teacher)))], left.made, words)
    with Rng(run.seed).here():
        images = torch.cat([left.draw(BATCH) for _ in range(-(-wanted(teacher) // BATCH))])
    return Sample(images, None, "drawn from its maker for this report, as it keeps no bank")


def wanted(teacher: Classifier) -> int:
    """How many images to look at, so that each class has a fair chance to be seen."""
    return max(LEAST, PER_CLASS * teacher.card.num_classes)


def look(teacher: Classifier, images: Tensor, device: torch.device) -> Look:
    """What `teacher` sees in images uint8 [N, C, H, W]. The teacher ends on `device`."""
    teacher.to(device).eval()
    names = {module: name.removeprefix("net.") for name, module in teacher.named_modules()}
    layers = {module: Moments(names[module]) for module in batch_norms(teacher)}
    logits, features = [], []
    with torch.no_grad(), tapped(teacher, frozenset({"bn", "feature"})) as see:
        for batch in _batches(images, device):
            sight = see(batch)
            logits.append(sight.logits.double().cpu())
            features += [] if sight.feature is None else [sight.feature.double().cpu()]
            for module, x in sight.bn:
                layers[module].add(module, x)
    answers = torch.cat(logits)
    said = answers.argmax(1)
    seen = torch.bincount(said, minlength=teacher.card.num_classes)
    small = torch.cat([_small(batch) for batch in _batches(images, torch.device("cpu"))]).flatten(1)
    return Look(
        n=len(images),
        seen=seen.tolist(),
        classes=effective(seen),
        confidence=100 * answers.softmax(1).amax(1).mean().item(),
        distance=mean_distance(torch.cat(features)) if features and len(images) > 1 else None,
        within=within(small, said),
        copies=copies(small),
        layers=[layer.mismatch() for layer in layers.values() if layer.n] or None,
    )


class Moments:
    """Mean and variance of one BatchNorm layer's input over many batches."""

    def __init__(self, name: str):
        self.name = name
        self.n, self.first, self.second = 0, torch.zeros(()), torch.zeros(())
        self.told_mean, self.told_var = torch.zeros(()), torch.ones(())

    def add(self, layer: Any, x: Tensor) -> None:
        mean, var = (moment.double().cpu() for moment in batch_moments(x))
        self.n += len(x)
        self.first, self.second = self.first + len(x) * mean, self.second + len(x) * (var + mean.square())
        self.told_mean, self.told_var = layer.running_mean.double().cpu(), layer.running_var.double().cpu()

    def mismatch(self) -> Layer:
        mean = self.first / self.n
        var = self.second / self.n - mean.square()
        off_mean = (mean - self.told_mean).norm() / self.told_var.sum().sqrt().clamp_min(1e-12)
        off_var = (var - self.told_var).norm() / self.told_var.norm().clamp_min(1e-12)
        return Layer(self.name, off_mean.item(), off_var.item())


def effective(counts: Tensor) -> float:
    """exp of the entropy of a histogram [K]: K where all are alike, 1 where one has everything."""
    return float(torch.distributions.Categorical(counts.double()).entropy().exp())


def mean_distance(features: Tensor) -> float:
    """Mean of 1 - cosine over all pairs of features [N, D], N > 1."""
    unit, n = F.normalize(features.flatten(1), dim=1), len(features)
    return 1 - float((unit.sum(0).square().sum() - unit.square().sum()) / (n * (n - 1)))


def within(pixels: Tensor, said: Tensor) -> float | None:
    """Mean RMS difference of two images of one class, in percent of a pixel's range: pixels [N, D] in 0..1, classes [N]."""
    groups = [pixels[said == i] for i in said.unique()]
    distances = torch.cat([torch.pdist(group[evenly(len(group), MOST_OF_CLASS)]) for group in groups])
    return 100 * distances.mean().item() / pixels.shape[1] ** 0.5 if len(distances) else None


def copies(pixels: Tensor) -> float:
    """Images, in percent, of [N, D] in 0..1 that have another within an RMS difference of `ALIKE`."""
    near, limit = 0, ALIKE * pixels.shape[1] ** 0.5
    for start in range(0, len(pixels), 1000):
        distances = torch.cdist(pixels[start : start + 1000], pixels)
        distances[torch.arange(len(distances)), start + torch.arange(len(distances))] = torch.inf
        near += int((distances.amin(1) < limit).sum())
    return 100 * near / len(pixels)


def collapse(look: Look) -> list[str]:
    """Why these images look like a mode collapse: a line for each threshold that is passed, [] where none is."""
    reasons = []
    if look.classes < FEW_CLASSES * len(look.seen):
        reasons.append(
            f"the teacher sees an effective {look.classes:.1f} classes, under {100 * FEW_CLASSES:.0f} % of its "
            f"{len(look.seen)}: the student hardly meets the others"
        )
    if look.copies > 100 * MANY_COPIES:
        reasons.append(
            f"{look.copies:.0f} % of the images have a copy among {look.n:,}, over {100 * MANY_COPIES:.0f} % "
            f"(a copy differs by under {100 * ALIKE:.0f} % of a pixel's range): the student learns the same thing again"
        )
    return reasons


def _batches(images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for batch in torch.split(images, BATCH):
        yield batch.to(device).float() / 255


def _small(images: Tensor) -> Tensor:
    h, w = (min(side, SIDE) for side in images.shape[2:])
    return images if images.shape[2:] == (h, w) else F.interpolate(images, (h, w), mode="area")
