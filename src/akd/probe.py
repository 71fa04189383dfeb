"""How a run watches itself without data: agreement with the teacher on a frozen probe of formula pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from akd.objectives import logits
from akd.state import State

COLLAPSE_SHARE, COLLAPSE_PROBES = 0.5, 4
GRACE = 100  # steps in which a fresh student may do anything


@torch.no_grad()
def look_at_probe(state: State) -> tuple[float, float, str]:
    """Agreement in percent, and KL in nats, of the student handed over now with the teacher on the frozen probe.

    And what is wrong, '' where nothing is: that is asked of the student that trains, whose average would tell it late.
    """
    images = state.probe.float() / 255
    said, answer = state.said_of_probe(), state.result.eval()(images).float()
    live = state.student.eval()(images).float() if state.average is not None else answer
    agreement, now = logits.agreement(answer, said).item(), logits.agreement(live, said).item()
    return agreement, logits.kl(answer, said).item(), trouble(state, now, _varied(said) and not _varied(live))


def _varied(answers: Tensor) -> bool:
    return len(answers.argmax(1).unique()) > 1


def trouble(state: State, agreement: float, constant: bool) -> str:
    """What has gone wrong for good, in a line: agreement with the teacher lost, or one class for every image."""
    chance = state.best_agreement / 100
    noise = 300 * math.sqrt(chance * (1 - chance) / len(state.probe))  # three standard errors, in percent
    lost = agreement < COLLAPSE_SHARE * state.best_agreement and agreement < state.best_agreement - noise
    state.bad_probes = state.bad_probes + 1 if (lost or constant) and state.step > GRACE else 0
    state.best_agreement = max(state.best_agreement, agreement)
    if state.bad_probes < COLLAPSE_PROBES:
        return ""
    how = "it sees one class everywhere" if constant else f"agreement fell from {state.best_agreement:.1f} to {agreement:.1f} %"
    return f"the student collapsed by step {state.step} ({how}, on the probe); try another method or a lower student_lr"
