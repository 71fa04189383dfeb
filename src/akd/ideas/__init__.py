"""The ideas by name, each a choice that combines with the methods. A new one is a file here and a line in this table."""

from __future__ import annotations

from collections.abc import Iterable

from akd.ideas.align import Features, Layers
from akd.ideas.average import Average
from akd.ideas.boundary import Boundary
from akd.ideas.generators import Generators
from akd.ideas.idea import Idea
from akd.ideas.progressive import Progressive
from akd.ideas.robust import Robust
from akd.ideas.selfsup import SelfSupervised
from akd.methods.plan import Method, Plan
from akd.networks.classifier import ModelCard

IDEAS: dict[str, type[Idea]] = {
    idea.name: idea
    for idea in (
        Features,
        Layers,
        Boundary,
        Generators,
        SelfSupervised,
        Robust,
        Average,
        Progressive,
    )
}


def plan_of(method: Method, ideas: Iterable[Idea], card: ModelCard) -> Plan:
    """The method's plan with each idea added, in the order of the table: how they were named must not matter."""
    plan, order = method.plan(card), list(IDEAS)
    for idea in sorted(ideas, key=lambda idea: order.index(idea.name)):
        plan = idea.add(plan, card)
    return plan


__all__ = ["IDEAS", "Idea", "plan_of"]
