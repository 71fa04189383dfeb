"""What a method is to the loop: five choices as values. And what a method is to its author: knobs, and a plan made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from torch import Tensor, nn

from akd.errors import ConfigError
from akd.networks.classifier import Classifier, ModelCard
from akd.objectives.terms import Schedule, Terms, needs_of_teacher, points
from akd.synthesis.augment import cutmix, shift
from akd.synthesis.maker import Maker

View = Callable[[Tensor, nn.Module], Tensor]
"""(images [B, C, H, W], teacher) -> images the student is shown and the teacher is asked about."""

StudentView = Callable[[Tensor, Tensor, nn.Module], Tensor]
"""(images [B, C, H, W], the teacher's logits for them [B, K], student) -> images the student alone is shown."""

Build = Callable[[Classifier, Classifier], nn.Module]
"""(teacher, student) -> what a term needs trained: an adapter, a head."""


@dataclass(frozen=True)
class StudentOptimiser:
    """SGD with momentum, or Adam, and how its learning rate goes over the run."""

    lr: Schedule
    kind: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Plan:
    """All that the loop knows of a method.

    maker: how images come to be, judged by the terms `image` after the view `jitter`, where there is one;
    views: what is done to an image before student and teacher see it, student_views: and before the student alone does;
    student: what the student imitates, each loss a mean over the batch, since several processes average theirs.
    A batch holds a share `pictures` from formulas; of the rest, a share `fresh` is drawn from the maker and the others are
    replayed from the last `bank` images kept (0: all are fresh). `student_steps` follow each turn after which
    the maker is ready. average: exponent of the student's average over the run (0: none); about 17 remembers the last tenth.
    modules: what trains along with the student and is dropped from the result, by name; critics: and along with the maker.
    """

    maker: Maker
    image: Terms
    student: Terms
    optimiser: StudentOptimiser
    jitter: View | None = None
    views: tuple[View, ...] = ()
    student_views: tuple[StudentView, ...] = ()
    batch_size: int = 256
    student_steps: int = 1
    bank: int = 0
    fresh: float = 1.0
    pictures: float = 0.0
    average: float = 0.0
    modules: Mapping[str, Build] = field(default_factory=dict)
    critics: Mapping[str, Build] = field(default_factory=dict)

    @property
    def reads(self) -> frozenset[str]:
        """What its terms read of the teacher's inside: see `akd.networks.taps.Sight`."""
        return needs_of_teacher(self.image) | needs_of_teacher(self.student)


LEAST = {
    **dict.fromkeys(("batch_size", "images"), 2),
    **dict.fromkeys(("student_steps", "generator_steps", "iterations", "latent", "bank", "count", "exponent"), 1),
    **dict.fromkeys(("temperature", "contrast_temperature"), 1e-3),
}
SHARES = ("pictures", "cutmix", "follow", "exchange", "share", "soft", "epsilon")


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Fields that a user may set; a number, or a schedule over the run's progress 0..1 where the field's type allows it."""

    name: ClassVar[str]
    paper: ClassVar[str]

    def __post_init__(self) -> None:
        """ConfigError for a knob that no run could work with."""
        for f in fields(self):
            value, least = getattr(self, f.name), LEAST.get(f.name, 0)
            most = 1.0 if f.name in SHARES else 1e9
            if not isinstance(value, (int, float, tuple)):
                continue
            course = points(value)
            for when, number in course:
                if not least <= number <= most:
                    raise ConfigError(f"{self.name}'s {f.name}={value} must be from {least} to {most:g}")
                if not 0 <= when <= 1:
                    raise ConfigError(f"{self.name}'s {f.name}={value} must be [[when, value], …] with 'when' from 0 to 1")
            if not course or [when for when, _ in course] != sorted(when for when, _ in course):
                raise ConfigError(f"{self.name}'s {f.name}={value} must be [[when, value], …], the earliest first")


@dataclass(frozen=True, kw_only=True)
class Method(Knobs):
    """A published method: its knobs are the fields, its choices come from `plan`."""

    reads_class_names: ClassVar[bool] = False

    def plan(self, card: ModelCard) -> Plan:
        raise NotImplementedError


def cosine(peak: float, warmup: float = 0.0, points: int = 32) -> Schedule:
    """A straight rise to `peak` over the first `warmup` of the run, then half a cosine down to zero."""
    falling = [
        (warmup + (1 - warmup) * i / points, peak * 0.5 * (1 + math.cos(math.pi * i / points))) for i in range(points + 1)
    ]
    return ((0.0, peak * 0.01), *falling) if warmup else tuple(falling)


def in_steps(value: float, drops: tuple[float, ...]) -> Schedule:
    """Divided by ten at each of these shares of the run."""
    points = [(0.0, value)]
    for drop in drops:
        points += [(drop, points[-1][1]), (drop, points[-1][1] / 10)]
    return tuple(points)


def shifted(card: ModelCard) -> View:
    """A shift by up to an eighth of the side, and for colour images a mirror image half of the time.

    A mirrored photograph is a photograph; a mirrored letter may be none.
    """
    pad, flip = max(1, min(card.input_size[1:]) // 8), card.input_size[0] == 3
    return lambda images, _: shift(images, pad, flip)


def mixed(share: float) -> View:
    """CutMix for a share of the images; teacher and student are asked about the mixture, so no label is mixed."""
    return lambda images, _: cutmix(images, share)
