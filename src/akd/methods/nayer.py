"""NAYER: noisy layer data generation (Tran et al., CVPR 2024, arXiv 2310.00258)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.plan import Method, Plan, StudentOptimiser, cosine, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.synthesis.names import name_vectors
from akd.synthesis.rounds import Rounds


@dataclass(frozen=True, kw_only=True)
class NAYER(Method):
    """The generator reads the class's name; a linear layer drawn anew for each batch stands in for noise.

    Differs from the paper: names become vectors by their letters (the authors ask a language model), and without names each
    class has a random vector; BatchNorm statistics are the batch's own; one batch of images a round instead of two.
    """

    name: ClassVar[str] = "nayer"
    paper: ClassVar[str] = "arXiv 2310.00258"
    needs_batch_norm: ClassVar[bool] = True

    batch_size: int = 512
    images: int = 400
    student_steps: int = 200
    student_lr: float = 0.2
    weight_decay: float = 1e-4
    generator_steps: int = 40
    generator_lr: float = 4e-3
    renew: int = 20
    temperature: float = 20.0
    bn: float = 10.0
    one_hot: float = 0.5
    adversary: float = 1.33
    bank: int = 50_000

    def plan(self, card: ModelCard) -> Plan:
        return Plan(
            maker=Rounds(
                images=self.images,
                steps=self.generator_steps,
                lr=self.generator_lr,
                renew=self.renew,
                follow=1.0,
                names=name_vectors(card.label_names, card.num_classes),
            ),
            image={
                "bn": wants.statistics(self.bn),
                "one_hot": wants.asked(self.one_hot),
                "adversary": wants.disagreement(-self.adversary),
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
