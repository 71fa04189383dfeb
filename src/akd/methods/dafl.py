"""DAFL: data-free learning of student networks (Chen et al., ICCV 2019, arXiv 1904.01186)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, in_steps
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class DAFL(Method):
    """A generator of images that the teacher is sure of, excited by and finds balanced; no adversary.

    The weights are those of the paper's MNIST runs (its CIFAR runs use less one-hot and activation), the student's optimiser is
    that of its CIFAR runs. Differs from the paper: generator and student take turns, where the authors step both on one batch
    and the generator feels the student's loss too; the generator's learning rate is 1e-3.
    """

    name: ClassVar[str] = "dafl"
    paper: ClassVar[str] = "arXiv 1904.01186"

    batch_size: int = 1024
    student_lr: float = 0.1
    weight_decay: float = 5e-4
    generator_lr: float = 1e-3
    one_hot: Schedule = 1.0
    activation: Schedule = 0.1
    balance: Schedule = 5.0 / math.log(10)  # the authors' entropy is in decimal logarithms

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Online(lr=self.generator_lr),
            image={
                "one_hot": wants.confident(self.one_hot),
                "activation": wants.excited(self.activation),
                "balance": wants.balanced(self.balance),
            },
            student={"imitate": wants.divergence(1.0)},
            optimiser=StudentOptimiser(lr=in_steps(self.student_lr, (0.4, 0.8)), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
        )
