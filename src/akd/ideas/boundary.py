"""Boundary-supporting samples (Heo et al., AAAI 2019, arXiv 1805.05532)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.synthesis.augment import some_of
from akd.synthesis.boundary import toward_boundary


@dataclass(frozen=True, kw_only=True)
class Boundary(Idea):
    """A share of each batch is moved to where the teacher wavers between its class and the next; the student follows there."""

    name: ClassVar[str] = "boundary"
    paper: ClassVar[str] = "arXiv 1805.05532"

    share: float = 0.25
    steps: int = 5
    rate: float = 0.5

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        if not (self.share and self.rate and self.steps):
            return plan

        def view(images: Tensor, teacher: nn.Module) -> Tensor:
            chosen = some_of(images, self.share)
            moved = toward_boundary(images[chosen], teacher, self.steps, self.rate)
            return images.index_copy(0, chosen, moved.to(images.dtype))

        return replace(plan, views=(*plan.views, view))
