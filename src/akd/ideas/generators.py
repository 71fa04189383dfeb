"""Several generators in place of one, each for a region of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from akd.errors import ConfigError
from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.synthesis.online import Online


@dataclass(frozen=True, kw_only=True)
class Generators(Idea):
    """`count` generators share each batch and are paid for what the others do not show (recorded as `image/apart`).

    apart: weight of the Jensen-Shannon divergence between the classes that the teacher sees in each generator's images.
    """

    name: ClassVar[str] = "generators"
    paper: ClassVar[str] = "this project"

    count: int = 3
    apart: float = 1.0

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        if not isinstance(plan.maker, Online):
            raise ConfigError("generators are for methods with one that trains all along; try akd, dfad, dafl, zskt or dfq")
        if self.count == 1:
            return plan
        if self.count > plan.batch_size:
            raise ConfigError(f"{self.count} generators cannot share a batch of {plan.batch_size}; try fewer")
        image = {**plan.image, "apart": wants.apart(-self.apart, self.count)} if plan.image else plan.image
        return replace(plan, maker=replace(plan.maker, count=self.count), image=image)
