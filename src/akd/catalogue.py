"""What there is to choose from, told by the methods and ideas themselves."""

from __future__ import annotations

from typing import Any

from akd.ideas import IDEAS
from akd.ideas.progressive import maximised
from akd.methods import METHODS, Method
from akd.networks.classifier import ModelCard
from akd.objectives.terms import Terms, wanted
from akd.recipes import described

EXAMPLE = ModelCard("any", 10, (0.5,) * 3, (0.25,) * 3, (3, 32, 32))
NEEDS = {"bn": "BatchNorm", "feature": "last feature", "stages": "feature maps", "layers": "convolutions"}


def catalogue() -> dict[str, Any]:
    """{"methods": {name: {...}}, "ideas": {name: {...}}, "recipes": {name: what it is for}}, JSON-ready.

    image, student: the names of the losses that count, "-" before those that are maximised; passes_per_image: forward and
    backward passes through the teacher that a new image costs; steps_per_turn: student steps for each turn of the maker.
    """
    ideas = {name: {"summary": _summary(idea), "paper": idea.paper} for name, idea in IDEAS.items()}
    return {"methods": {name: _told(method) for name, method in METHODS.items()}, "ideas": ideas, "recipes": described()}


def _told(method: type[Method]) -> dict[str, Any]:
    plan = method().plan(EXAMPLE)
    needs = [words for need, words in NEEDS.items() if need in plan.reads]
    needs += ["class names, where there are any"] * method.reads_class_names
    return {
        "summary": _summary(method),
        "paper": method.paper,
        "needs": needs,
        "image": _signed(plan.image),
        "student": _signed(plan.student),
        "passes_per_image": plan.maker.passes * (1 + sum(term.looks for term in wanted(plan.image).values())),
        "steps_per_turn": plan.student_steps,
    }


def _signed(terms: Terms) -> list[str]:
    return [f"-{name}" if maximised(term.weight) else name for name, term in wanted(terms).items()]


def _summary(thing: type) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
