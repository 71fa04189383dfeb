"""A generator that trains along with the student (DAFL, ZSKT, DFAD, DFQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Progress, Schedule, at
from akd.replay import Repeat
from akd.synthesis.generators import ConditionalGenerator, Generator
from akd.synthesis.maker import Batch, Judge, Made, descend


class OnlineState(nn.Module):
    """The generators, and how many classes they can be asked for (0: they are not asked). Each makes its part of a batch."""

    def __init__(self, generators: list[Generator] | list[ConditionalGenerator], num_classes: int):
        super().__init__()
        self.generators = nn.ModuleList(generators)
        self.latent = generators[0].latent
        self.num_classes = num_classes
        self.turns = 0

    def get_extra_state(self) -> int:
        return self.turns

    def set_extra_state(self, state: int) -> None:
        self.turns = state

    def forward(self, count: int) -> Batch:
        device = next(self.parameters()).device
        z = torch.randn(count, self.latent, device=device)
        labels = torch.randint(max(1, self.num_classes), (count,), device=device)
        parts = zip(z.tensor_split(len(self.generators)), labels.tensor_split(len(self.generators)), strict=True)
        asked = [(z, labels) if self.num_classes else (z,) for z, labels in parts]
        images = [generator(*given) for generator, given in zip(self.generators, asked, strict=True) if len(given[0])]
        return Batch(torch.cat(images), labels)


@dataclass(frozen=True)
class Online:
    """`steps` generator steps a turn with Adam at `lr`; `asked`: the generator is told which class to draw; `count` of them.

    The student waits for `first` turns, so that it never learns from an untrained generator; no steps at all leave it so.
    """

    steps: int = 1
    first: int = 1
    lr: Schedule = 1e-3
    latent: int = 256
    width: int = 128
    asked: bool = False
    count: int = 1
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)

    @property
    def passes(self) -> int:
        return self.steps

    def build(self, card: ModelCard) -> OnlineState:
        size, each = card.input_size, range(self.count)
        if self.asked:
            conditional = [ConditionalGenerator(size, card.num_classes, self.latent, self.width) for _ in each]
            return OnlineState(conditional, card.num_classes)
        return OnlineState([Generator(size, self.latent, self.width) for _ in each], 0)

    def optimiser(self, module: nn.Module) -> Optimizer | None:
        if not self.steps:
            return None
        return torch.optim.Adam(module.parameters(), lr=at(self.lr, 0.0), betas=self.betas, fused=True)

    def turn(
        self, module: nn.Module, optimiser: Optimizer | None, judge: Judge, count: int, progress: float, repeat: Repeat
    ) -> Made:
        assert isinstance(module, OnlineState)
        if optimiser is None:
            return Made(None, {})

        def step(progress: Progress) -> tuple[Batch, dict[str, Tensor]]:
            optimiser.param_groups[0]["lr"] = at(self.lr, progress)
            batch = module(count)
            loss, terms = judge(batch, progress)
            descend(loss, optimiser, self.clip)
            return batch, terms

        module.train()
        terms: dict[str, Tensor] = {}
        batch = None
        for _ in range(self.steps):
            batch, terms = repeat(step, progress)
        module.turns += 1
        if batch is None or module.turns < self.first:  # what it makes while it warms up is nothing to keep
            return Made(None, terms, ready=False)
        return Made(Batch(batch.images.detach(), batch.labels), terms)

    @torch.no_grad()
    def draw(self, module: nn.Module, count: int) -> Batch:
        batch: Batch = module.train()(count)
        return batch
