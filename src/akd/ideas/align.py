"""Feature alignment and layer-wise distillation: the student's insides like the teacher's (FitNets, arXiv 1412.6550)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.features import Adapters
from akd.objectives.terms import Schedule, never, times


@dataclass(frozen=True, kw_only=True)
class Features(Idea):
    """The student's feature map of each stage, through a learned adapter, is drawn to the teacher's; makers seek its failures.

    weight: of the distance in the student's loss; adversary: of its negative in the image loss, as a share of that weight,
    since adapters that nothing trains yet would mislead the makers.
    """

    name: ClassVar[str] = "features"
    paper: ClassVar[str] = "arXiv 1912.13179"
    maps: ClassVar[str] = "stages"

    weight: Schedule = 1.0
    adversary: Schedule = 0.1

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        maps, name, against = self.maps, self.name, times(self.weight, times(self.adversary, -1.0))
        if never(self.weight):
            return plan
        return replace(
            plan,
            student={**plan.student, name: wants.aligned(self.weight, maps, name)},
            image={**plan.image, name: wants.aligned(against, maps, name)} if plan.image else plan.image,
            modules={**plan.modules, name: lambda teacher, student: Adapters(teacher, student, maps)},
        )


@dataclass(frozen=True, kw_only=True)
class Layers(Features):
    """Every convolution of the student, through a learned adapter, is drawn to the teacher's at the same share of the depth."""

    name: ClassVar[str] = "layers"
    maps: ClassVar[str] = "layers"

    adversary: Schedule = 0.0
