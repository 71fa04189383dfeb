"""An average of the student's weights as the result, for every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard


@dataclass(frozen=True, kw_only=True)
class Average(Idea):
    """The result is an average of the student over the run's end. exponent: about 17 remembers the last tenth of the run."""

    name: ClassVar[str] = "average"
    paper: ClassVar[str] = "arXiv 2312.02696"

    exponent: float = 17.0

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        return replace(plan, average=self.exponent)
