"""How a run watches itself without data: agreement with the teacher on a frozen probe of formula pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from akd.objectives import logits
from akd.state import State

COLLAPSE_SHARE, COLLAPSE_PROBES = 0.5, 4
GRACE = 100  # steps in which a fresh student may do anything


@dataclass(frozen=True)
class Probed:
    """How the student handed over now stands on the probe: agreement with the teacher in percent, KL in nats.

    live: agreement of the student that trains, whose average would tell of trouble late; constant: to it all is one class.
    chance: agreement of whoever always names the teacher's most frequent class.
    """

    agreement: float
    kl: float
    live: float
    constant: bool
    chance: float


@torch.no_grad()
def look_at_probe(state: State) -> Probed:
    images = state.probe.float() / 255
    said, answer = state.said_of_probe(), state.result.eval()(images).float()
    live = state.student.eval()(images).float() if state.average is not None else answer
    return Probed(
        agreement=logits.agreement(answer, said).item(),
        kl=logits.kl(answer, said).item(),
        live=logits.agreement(live, said).item(),
        constant=_varied(said) and not _varied(live),
        chance=100 * said.argmax(1).bincount().max().item() / len(said),
    )


def _varied(answers: Tensor) -> bool:
    return len(answers.argmax(1).unique()) > 1


def trouble(state: State, probed: Probed) -> str:
    """Count one report more; what has gone wrong for good, in a line, '' where nothing has."""
    agreement, best = probed.live, state.best_agreement
    chance = best / 100
    noise = 300 * math.sqrt(chance * (1 - chance) / len(state.probe))  # three standard errors, in percent
    lost = agreement < COLLAPSE_SHARE * best and agreement < best - noise
    state.bad_probes = state.bad_probes + 1 if (lost or probed.constant) and state.step > GRACE else 0
    state.best_agreement = max(best, agreement)
    if state.bad_probes < COLLAPSE_PROBES:
        return ""
    how = "it sees one class everywhere" if probed.constant else f"agreement fell from {best:.1f} to {agreement:.1f} %"
    remedy = "try another method, or a lower student_lr or generator_lr"
    return f"the student collapsed by step {state.step} ({how}, on the probe); {remedy}"
