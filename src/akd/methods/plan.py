"""What a method is to the loop: five choices as values. And what a method is to its author: knobs, and a plan made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from akd.networks.classifier import Classifier, ModelCard
from akd.objectives.terms import Schedule, Terms
from akd.synthesis.maker import Maker

View = Callable[[Tensor, nn.Module, nn.Module], Tensor]
"""(images [B, C, H, W], teacher, student) -> images the student is shown and the teacher is asked about."""


@dataclass(frozen=True)
class StudentOptimiser:
    """SGD with Nesterov-free momentum or Adam, and how its learning rate goes over the run."""

    lr: Schedule
    kind: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 0.0


@dataclass(frozen=True)
class Plan:
    """All that the loop knows of a method.

    maker: how images come to be; image: what a good image is; views: what is done to an image before the student sees it;
    student: what the student imitates; bank: how many images are kept for replay (0: none) and `fresh`, the share of each
    batch that the maker draws anew. `student_steps` follow each turn of the maker. `average`: decay of the student's
    average (0: none). `modules` build what trains along with the student and is dropped from the result.
    """

    maker: Maker
    image: Terms
    student: Terms
    optimiser: StudentOptimiser
    views: tuple[View, ...] = ()
    batch_size: int = 256
    student_steps: int = 1
    warmup_turns: int = 0
    bank: int = 0
    fresh: float = 1.0
    average: float = 0.0
    modules: Mapping[str, Callable[[Classifier, Classifier], nn.Module]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A published method: its knobs are the fields, its five choices come from `plan`."""

    name: ClassVar[str]
    paper: ClassVar[str]
    needs_batch_norm: ClassVar[bool] = False

    def plan(self, card: ModelCard) -> Plan:
        raise NotImplementedError


def cosine(peak: float, warmup: float = 0.0, points: int = 32) -> Schedule:
    """A straight rise to `peak` over the first `warmup` of the run, then half a cosine down to zero."""
    falling = [
        (warmup + (1 - warmup) * i / points, peak * 0.5 * (1 + math.cos(math.pi * i / points))) for i in range(points + 1)
    ]
    return ((0.0, peak * 0.01), *falling) if warmup else tuple(falling)
