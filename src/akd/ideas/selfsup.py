"""A signal that needs no teacher: by how much was this image turned? (Gidaris et al., ICLR 2018, arXiv 1803.07728)"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.taps import last_linear
from akd.objectives import wants
from akd.objectives.terms import Schedule, never


def head(_teacher: Classifier, student: Classifier) -> nn.Module:
    """The student's feature -> by how many quarters its image was turned."""
    linear = last_linear(student)
    return nn.Linear(linear.in_features if linear else 1, 4)


@dataclass(frozen=True, kw_only=True)
class SelfSupervised(Idea):
    """The student also learns, from its last feature, by how many quarters each synthetic image was turned."""

    name: ClassVar[str] = "selfsup"
    paper: ClassVar[str] = "arXiv 1803.07728"

    weight: Schedule = 0.1

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        if never(self.weight):
            return plan
        return replace(
            plan,
            student={**plan.student, "turned": wants.turned(self.weight)},
            modules={**plan.modules, "turned": head},
        )
