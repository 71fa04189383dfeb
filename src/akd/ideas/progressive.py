"""From easy to hard, as schedules over the run's progress."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from akd.ideas.idea import Idea
from akd.methods.plan import Plan
from akd.networks.classifier import ModelCard
from akd.objectives import wants
from akd.objectives.terms import Schedule, Term, points, times


@dataclass(frozen=True, kw_only=True)
class Progressive(Idea):
    """Soft answers first, the method's own losses later; the adversary grows from a tenth.

    soft: share, over the run, of KL at `temperature` in what the student learns by; the method's own terms have the rest.
    adversary: what every image term that is maximised is multiplied with, over the run. Both are data: numbers, or lists of
    [progress, value]. For methods that imitate at that temperature already only the adversary changes; DeepInversion has none
    (its competition is a loss to be minimised).
    """

    name: ClassVar[str] = "progressive"
    paper: ClassVar[str] = "this project"

    soft: Schedule = ((0.0, 1.0), (0.5, 0.0))
    temperature: Schedule = 20.0
    adversary: Schedule = ((0.0, 0.1), (0.3, 1.0))

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        image = {name: self._grown(term) if maximised(term.weight) else term for name, term in plan.image.items()}
        rest = tuple((when, 1 - share) for when, share in points(self.soft))
        own = {name: replace(term, weight=times(term.weight, rest)) for name, term in plan.student.items()}
        return replace(plan, image=image, student={**own, "soft": wants.divergence(self.soft, self.temperature)})

    def _grown(self, term: Term) -> Term:
        return replace(term, weight=times(term.weight, self.adversary))


def maximised(weight: Schedule) -> bool:
    return any(value < 0 for _, value in points(weight))
