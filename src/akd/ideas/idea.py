"""What an idea is: a change to a method's plan."""

from __future__ import annotations

from dataclasses import dataclass

from akd.methods.plan import Knobs, Plan
from akd.networks.classifier import ModelCard


@dataclass(frozen=True, kw_only=True)
class Idea(Knobs):
    """A choice that combines with the methods: its knobs are the fields; `add` gives the plan with the idea in it."""

    def add(self, plan: Plan, card: ModelCard) -> Plan:
        raise NotImplementedError
