"""A student that holds against adversarial examples (ARD, Goldblum et al., AAAI 2020; data-free: DFARD, AAAI 2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives.logits import kl
from akd.synthesis.augment import some_of
from akd.synthesis.pgd import pgd


@dataclass(frozen=True, kw_only=True)
class Robust(Idea):
    """The student sees a share of each batch attacked (PGD), and must answer as the teacher does to the images before.

    epsilon: the most that a pixel in 0..1 changes. The attack seeks the largest KL between teacher's and student's answers.
    """

    name: ClassVar[str] = "robust"
    paper: ClassVar[str] = "arXiv 1905.09747"

    share: float = 0.5
    epsilon: float = 8 / 255
    steps: int = 10

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        if not (self.share and self.epsilon and self.steps):
            return plan

        def attacked(images: Tensor, said: Tensor, student: nn.Module) -> Tensor:
            chosen = some_of(images, self.share)
            told = said[chosen]
            hit = pgd(images[chosen], lambda x: kl(student(x).float(), told), self.epsilon, self.steps, self.epsilon / 4)
            return images.index_copy(0, chosen, hit.to(images.dtype))

        return replace(plan, student_views=(*plan.student_views, attacked))
