"""Images of one class that differ from each other, as real ones do."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import ClassVar

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule


@dataclass(frozen=True, kw_only=True)
class Varied(Idea):
    """Makers are held to images that differ within a class as much as the teacher's normalisation lets expect of real ones.

    Two independent images of pixel deviation s differ by sqrt(2) s; share: how much of that is asked within a class.
    """

    name: ClassVar[str] = "varied"
    paper: ClassVar[str] = "this project, docs/lab.md"

    weight: Schedule = 10.0
    share: float = 0.8

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        enough = self.share * math.sqrt(2) * statistics.mean(card.std)
        image = {**plan.image, "varied": wants.varied(self.weight, enough)} if plan.image else plan.image
        return replace(plan, image=image)
