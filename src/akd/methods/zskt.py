"""ZSKT: zero-shot knowledge transfer via adversarial belief matching (Micaelli & Storkey, NeurIPS 2019, 1905.09768)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class ZSKT(Method):
    """The generator maximises KL(teacher || student); the student takes ten steps on that one batch, with attention transfer.

    As the authors compute them, divergences are means over images and classes, which decides what 250 and the clipping
    mean. Differs from the paper: the batch is kept in 8 bit between its ten steps; in the generator's step the student is in
    eval mode.
    """

    name: ClassVar[str] = "zskt"
    paper: ClassVar[str] = "arXiv 1905.09768"

    batch_size: int = 128
    student_steps: int = 10
    student_lr: float = 2e-3
    generator_lr: float = 1e-3
    attention: Schedule = 250.0
    clip: float = 5.0

    def plan(self, card: ModelCard) -> Plan:
        mean = 1.0 / card.num_classes
        return Plan(
            maker=Online(lr=cosine(self.generator_lr), latent=100, clip=self.clip),
            image={"divergence": wants.divergence(-mean)},
            student={"imitate": wants.divergence(mean), "attention": wants.attention(self.attention)},
            optimiser=StudentOptimiser(lr=cosine(self.student_lr), kind="adam", weight_decay=0.0, clip=self.clip),
            batch_size=self.batch_size,
            student_steps=self.student_steps,
            bank=self.batch_size,
            fresh=0.0,
        )
