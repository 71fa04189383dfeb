"""DFAD: data-free adversarial distillation (Fang et al., 2019, arXiv 1912.11006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, in_steps
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class DFAD(Method):
    """One generator step against five student steps, nothing but the L1 discrepancy (eq. 3) on both sides.

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
        drops = (0.2, 0.4)  # epochs 100 and 200 of 500
        return Plan(
            maker=Online(lr=in_steps(self.generator_lr, drops), latent=self.latent),
            image={"discrepancy": wants.discrepancy(-1.0)},
            student={"discrepancy": wants.discrepancy(1.0)},
            optimiser=StudentOptimiser(lr=in_steps(self.student_lr, drops), weight_decay=self.weight_decay),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
        )
