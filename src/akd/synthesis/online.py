"""A generator that trains along with the student (DAFL, ZSKT, DFAD, DFQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Progress, Schedule, at
from akd.synthesis.generators import Generator, Restyler
from akd.synthesis.maker import Batch, Draw, Given, Made, descend


class OnlineState(nn.Module):
    """The generators, each of which makes its part of a batch."""

    def __init__(self, generators: list[Generator] | list[Restyler]):
        super().__init__()
        self.generators = nn.ModuleList(generators)
        self.turns = 0

    def get_extra_state(self) -> int:
        return self.turns

    def set_extra_state(self, state: int) -> None:
        self.turns = state

    def forward(self, *given: Tensor) -> Tensor:
        """What is given [B, ...], noise or pictures and their classes, made into images [B, C, H, W]."""
        parts = zip(*(value.tensor_split(len(self.generators)) for value in given), strict=True)
        made = [generator(*part) for generator, part in zip(self.generators, parts, strict=True) if len(part[0])]
        return torch.cat(made)


@dataclass(frozen=True)
class Online:
    """`steps` steps a turn of `count` generators with Adam at `lr`. restyles: they are given pictures and asked for the class
    that each is most like, in place of noise.

    The student waits for `first` turns, so that it never learns from an untrained generator; no steps at all leave it so.
    """

    steps: int = 1
    first: int = 1
    lr: Schedule = 1e-3
    latent: int = 256
    width: int = 128
    restyles: bool = False
    count: int = 1
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)

    @property
    def passes(self) -> int:
        return self.steps

    def build(self, card: ModelCard) -> OnlineState:
        size, each = card.input_size, range(self.count)
        if self.restyles:
            return OnlineState([Restyler(size, card.num_classes, self.latent, self.width) for _ in each])
        return OnlineState([Generator(size, self.latent, self.width) for _ in each])

    def optimiser(self, module: nn.Module) -> Optimizer | None:
        if not self.steps:
            return None
        return torch.optim.Adam(module.parameters(), lr=at(self.lr, 0.0), betas=self.betas, fused=True)

    def turn(self, module: nn.Module, optimiser: Optimizer | None, given: Given) -> Made:
        assert isinstance(module, OnlineState)
        if optimiser is None:
            return Made(None, {})

        def step(progress: Progress, *start: Tensor) -> tuple[Batch, dict[str, Tensor]]:
            optimiser.param_groups[0]["lr"] = at(self.lr, progress)
            batch = self._made(module, given.count, *start)
            loss, terms = given.judge(batch, progress)
            descend(loss, optimiser, self.clip)
            return batch, terms

        module.train()
        terms: dict[str, Tensor] = {}
        batch = None
        for _ in range(self.steps):
            batch, terms = given.repeat(step, given.progress, *self._start(given.pictures, given.count))
        module.turns += 1
        if batch is None or module.turns < self.first:  # what it makes while it warms up is nothing to keep
            return Made(None, terms, ready=False)
        return Made(Batch(batch.images.detach(), batch.labels), terms)

    @torch.no_grad()
    def draw(self, module: nn.Module, pictures: Draw, count: int) -> Batch:
        return self._made(module.train(), count, *self._start(pictures, count))

    def _start(self, pictures: Draw, count: int) -> tuple[Tensor, ...]:
        """Pictures and their classes, where they are restyled: drawn outside of the step, since their number grows."""
        if not self.restyles:
            return ()
        batch = pictures(count)
        return batch.images, batch.labels

    def _made(self, module: nn.Module, count: int, *start: Tensor) -> Batch:
        if start:
            return Batch(module(*start), start[1])
        device = next(module.parameters()).device
        noise = torch.randn(count, self.latent, device=device)
        return Batch(module(noise), torch.zeros(count, dtype=torch.int64, device=device))
