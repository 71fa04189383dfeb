"""DeepInversion: dreaming to distill (Yin et al., CVPR 2020, arXiv 1912.08795), in its adaptive form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.synthesis.invert import Invert


@dataclass(frozen=True, kw_only=True)
class DeepInversion(Method):
    """Images optimised pixel by pixel: asked class, BatchNorm statistics, smoothness, and (adaptive) a student proved wrong.

    `competition` 0 gives plain DeepInversion. Differs from the paper: batches go into a bank and the student trains between
    them, so that the competition always meets the student of the moment; pixels are kept in 0..1.
    """

    name: ClassVar[str] = "deepinversion"
    paper: ClassVar[str] = "arXiv 1912.08795"
    needs_batch_norm: ClassVar[bool] = True

    batch_size: int = 256
    student_steps: int = 400
    student_lr: float = 0.1
    weight_decay: float = 1e-4
    iterations: int = 2000
    image_lr: float = 0.05
    temperature: float = 3.0
    one_hot: float = 1.0
    bn: float = 10.0
    variation: float = 2.5e-5
    competition: float = 1.0
    bank: int = 20_000

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Invert(images=self.batch_size, iterations=self.iterations, lr=self.image_lr),
            image={
                "one_hot": wants.asked(self.one_hot),
                "bn": wants.statistics(self.bn),
                "variation": wants.smooth(self.variation),
                "competition": wants.competition(self.competition),
            },
            jitter=shifted(card),
            views=(shifted(card),),
            student={"imitate": wants.divergence(1.0, self.temperature)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
            bank=self.bank,
            fresh=0.0,
        )
