"""What every source of images offers to the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Progress
from akd.replay import Repeat


@dataclass
class Batch:
    """Images [B, C, H, W] in 0..1 with the class [B] asked of each."""

    images: Tensor
    labels: Tensor


def trained_by(optimiser: Optimizer) -> list[Tensor]:
    """All that an optimiser moves."""
    return [p for group in optimiser.param_groups for p in group["params"]]


def descend(loss: Tensor, optimiser: Optimizer, clip: float = 0.0) -> None:
    """One step down the loss; outside of autocast, which would round what float32 losses send back."""
    trained = trained_by(optimiser)
    with torch.autocast(loss.device.type, enabled=False):
        optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=trained)
        if clip:
            nn.utils.clip_grad_norm_(trained, clip)
        optimiser.step()


def forget(optimiser: Optimizer, parameters: Iterable[Tensor]) -> None:
    """What it remembers of these, as if it had never moved them; in place, for a captured step reads it where it lies."""
    for parameter in parameters:
        for value in optimiser.state.get(parameter, {}).values():
            value.zero_()


Judge = Callable[[Batch, Progress], tuple[Tensor, dict[str, Tensor]]]
"""How good a batch is: the weighted image loss [] (to be minimised) and its terms, as teacher and student see it now."""

Draw = Callable[[int], Batch]
"""So many pictures from formulas, each with the class that it is most like."""


@dataclass(frozen=True)
class Given:
    """What a turn has to go by: `count` images a batch, `progress` 0..1 of the run; each step is the same function of its
    inputs and goes through `repeat(step, *inputs)`, which may replay it."""

    judge: Judge
    pictures: Draw
    count: int
    progress: float
    repeat: Repeat


@dataclass
class Made:
    """What a turn gave: images to keep in the bank (None: nothing yet), the image terms' last values, and whether the
    student may go on (a maker that works on one batch for many turns is not ready before it is done)."""

    keep: Batch | None
    terms: dict[str, Tensor]
    ready: bool = True


class Maker(Protocol):
    """A frozen record of how images come to be. All that changes lives in the module that `build` returns."""

    @property
    def restyles(self) -> bool:
        """Whether it starts from pictures, and calls `pictures` for them."""

    @property
    def passes(self) -> int:
        """Forward and backward passes through the teacher that a new image costs."""

    def build(self, card: ModelCard) -> nn.Module:
        """The maker's networks and memory: everything that must survive a kill."""

    def optimiser(self, module: nn.Module) -> Optimizer | None:
        """What trains the module across turns; None where each turn starts its own."""

    def turn(self, module: nn.Module, optimiser: Optimizer | None, given: Given) -> Made:
        """Seek images that the judge rates low: one turn of the adversarial game."""

    def draw(self, module: nn.Module, pictures: Draw, count: int) -> Batch:
        """`count` fresh images for the student, without gradients."""
