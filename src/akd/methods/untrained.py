"""The baseline that every method has to beat: images of a generator that never learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class Untrained(Method):
    """A baseline, not a method: the student imitates its teacher on what a freshly initialised generator happens to give."""

    name: ClassVar[str] = "untrained"
    paper: ClassVar[str] = "a baseline"

    batch_size: int = 256
    student_steps: int = 5
    student_lr: float = 0.1
    weight_decay: float = 5e-4
    temperature: Schedule = 1.0

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Online(steps=0),
            image={},
            student={"imitate": wants.divergence(1.0, self.temperature)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
        )
