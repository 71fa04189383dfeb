"""DFAD: data-free adversarial distillation (Fang et al., 2019, arXiv 1912.11006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from akd.methods.plan import Method, Plan, StudentOptimiser
from akd.networks.classifier import ModelCard
from akd.objectives import logits
from akd.objectives.terms import Schedule, Seen, Term
from akd.synthesis.online import Online


def discrepancy(seen: Seen) -> Tensor:
    """L1 between the logits (eq. 3): the student minimises it, the generator maximises it."""
    return logits.l1(seen.student.logits, seen.teacher.logits)


def in_steps(value: float) -> Schedule:
    """Divided by ten at 1/5 and 2/5 of the run: epochs 100 and 200 of 500."""
    return ((0, value), (0.2, value), (0.2, value / 10), (0.4, value / 10), (0.4, value / 100), (1, value / 100))


@dataclass(frozen=True, kw_only=True)
class DFAD(Method):
    """One generator step against five student steps, nothing but the L1 discrepancy on both sides.

    Differs from the paper: images are in 0..1 by a sigmoid where the authors end in tanh and a BatchNorm without scale;
    the student is in eval mode while the generator trains.
    """

    name: ClassVar[str] = "dfad"
    paper: ClassVar[str] = "arXiv 1912.11006"

    batch_size: int = 256
    student_steps: int = 5
    student_lr: float = 0.1
    weight_decay: float = 5e-4
    generator_lr: float = 1e-3
    latent: int = 256

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Online(lr=in_steps(self.generator_lr), latent=self.latent),
            image={"discrepancy": Term(-1.0, discrepancy)},
            student={"discrepancy": Term(1.0, discrepancy)},
            optimiser=StudentOptimiser(lr=in_steps(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
        )
