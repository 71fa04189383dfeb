"""DFQ: data-free network quantisation with adversarial knowledge distillation (Choi et al., CVPRW 2020, 2005.04136)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule, times
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class DFQ(Method):
    """An adversary held by BatchNorm statistics, confidence and class balance; ten student steps to one of the generator.

    Differs from the paper: statistics are compared by L2 distances, where the authors take the KL divergence of Gaussians.
    """

    name: ClassVar[str] = "dfq"
    paper: ClassVar[str] = "arXiv 2005.04136"

    batch_size: int = 256
    student_steps: int = 10
    student_lr: float = 0.1
    weight_decay: float = 1e-4
    generator_lr: float = 1e-3
    adversary: Schedule = 1.0
    bn: Schedule = 1.0
    one_hot: Schedule = 1.0
    balance: Schedule = 20.0

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Online(lr=cosine(self.generator_lr)),
            image={
                "adversary": wants.divergence(times(self.adversary, -1.0)),
                "bn": wants.statistics(self.bn),
                "one_hot": wants.confident(self.one_hot),
                "balance": wants.balanced(self.balance),
            },
            student={"imitate": wants.divergence(1.0)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
        )
