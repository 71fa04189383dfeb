"""NAYER: noisy layer data generation (Tran et al., CVPR 2024, arXiv 2310.00258)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.inverting import Inverting
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule, times
from akd.synthesis.names import name_vectors
from akd.synthesis.rounds import Rounds


@dataclass(frozen=True, kw_only=True)
class NAYER(Inverting):
    """The generator reads the class's name; linear layers drawn anew for each batch stand in for noise.

    Differs from the paper: names become vectors by their letters (the authors ask a language model), and without names each
    class has a random vector; BatchNorm statistics are the batch's own; one batch of images a round instead of two; the student
    and the adversary begin with the first round, where the authors fill the bank for some epochs before.
    """

    name: ClassVar[str] = "nayer"
    paper: ClassVar[str] = "arXiv 2310.00258"
    reads_class_names: ClassVar[bool] = True

    batch_size: int = 512
    images: int = 400
    student_steps: int = 200
    student_lr: float = 0.2
    generator_steps: int = 40
    generator_lr: float = 4e-3
    renew: int = 20
    bn: Schedule = 10.0
    one_hot: Schedule = 0.5
    adversary: Schedule = 1.33

    def plan(self, card: ModelCard) -> Plan:
        return self.assembled(
            card,
            Rounds(
                images=self.images,
                steps=self.generator_steps,
                lr=self.generator_lr,
                renew=self.renew,
                follow=1.0,
                names=name_vectors(card.label_names, card.num_classes),
            ),
            {
                "bn": wants.statistics(self.bn),
                "one_hot": wants.asked(self.one_hot),
                "adversary": wants.disagreement(times(self.adversary, -1.0)),
            },
        )
