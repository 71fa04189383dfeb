"""CMI: contrastive model inversion for data-free knowledge distillation (Fang et al., IJCAI 2021, arXiv 2105.08584)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from akd.methods.inverting import Inverting
from akd.methods.plan import Plan, shifted
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.features import Projection
from akd.objectives.terms import Schedule, times
from akd.synthesis.rounds import Rounds


@dataclass(frozen=True, kw_only=True)
class CMI(Inverting):
    """A generator from scratch each round, whose images must be told apart from each other and from those of the bank.

    Differs from the paper: the negatives are `negatives` images of the bank looked at anew, where the authors keep the
    features of 40,960; both views are shifts of the whole image, where the authors also cut small crops; images are told apart
    by the teacher's last feature, where the authors take the means of all BatchNorm inputs and hold the first view fixed.
    """

    name: ClassVar[str] = "cmi"
    paper: ClassVar[str] = "arXiv 2105.08584"

    generator_steps: int = 200
    generator_lr: float = 1e-3
    latent_lr: float = 1e-3
    bn: Schedule = 1.0
    one_hot: Schedule = 0.5
    adversary: Schedule = 0.5
    contrast: Schedule = 0.8
    contrast_temperature: float = 0.1
    negatives: int = 256

    def plan(self, card: ModelCard) -> Plan:
        return self.assembled(
            card,
            Rounds(images=self.batch_size, steps=self.generator_steps, lr=self.generator_lr, latent_lr=self.latent_lr, renew=1),
            {
                "bn": wants.statistics(self.bn),
                "one_hot": wants.asked(self.one_hot),
                "adversary": wants.disagreement(times(self.adversary, -1.0)),
                "contrast": wants.told_apart(self.contrast, shifted(card), self.contrast_temperature, self.negatives),
            },
            critics={"contrast": lambda teacher, _student: Projection(teacher)},
        )
