"""What DeepInversion, CMI, FastDFKD and NAYER share: rounds of images into a bank, then many student steps from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from akd.methods.plan import Build, Method, Plan, StudentOptimiser, cosine, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule, Terms
from akd.synthesis.maker import Maker


@dataclass(frozen=True, kw_only=True)
class Inverting(Method):
    """Images are judged and replayed shifted; the student follows softened answers by SGD with a cosine."""

    batch_size: int = 256
    student_steps: int = 400
    student_lr: float = 0.1
    weight_decay: float = 1e-4
    temperature: Schedule = 20.0
    bank: int = 50_000

    def assembled(self, card: ModelCard, maker: Maker, image: Terms, critics: Mapping[str, Build] | None = None) -> Plan:
        return Plan(
            maker=maker,
            image=image,
            jitter=shifted(card),
            views=(shifted(card),),
            student={"imitate": wants.divergence(1.0, self.temperature)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
            bank=self.bank,
            fresh=0.0,
            critics=critics or {},
        )
