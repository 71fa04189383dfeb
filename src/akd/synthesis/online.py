"""A generator that trains along with the student (DAFL, ZSKT, DFAD, DFQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Schedule, at
from akd.synthesis.generators import ConditionalGenerator, Generator
from akd.synthesis.maker import Batch, Judge, Made


class OnlineState(nn.Module):
    """The generator, and how many classes it can be asked for (0: it is not asked)."""

    def __init__(self, generator: Generator | ConditionalGenerator, num_classes: int):
        super().__init__()
        self.generator = generator
        self.num_classes = num_classes

    def forward(self, count: int) -> Batch:
        device = next(self.parameters()).device
        z = torch.randn(count, self.generator.latent, device=device)
        if isinstance(self.generator, ConditionalGenerator):
            labels = torch.randint(self.num_classes, (count,), device=device)
            return Batch(self.generator(z, labels), labels)
        return Batch(self.generator(z), torch.zeros(count, dtype=torch.int64, device=device))


@dataclass(frozen=True)
class Online:
    """`steps` generator steps a turn with Adam at `lr`; `asked`: the generator is told which class to draw.

    `first` steps in the first turn, so that the student never learns from an untrained generator.
    """

    steps: int = 1
    first: int = 1
    lr: Schedule = 1e-3
    latent: int = 256
    width: int = 128
    asked: bool = False
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)

    def build(self, card: ModelCard) -> OnlineState:
        if self.asked:
            return OnlineState(
                ConditionalGenerator(card.input_size, card.num_classes, self.latent, self.width), card.num_classes
            )
        return OnlineState(Generator(card.input_size, self.latent, self.width), 0)

    def optimiser(self, module: nn.Module) -> Optimizer:
        return torch.optim.Adam(module.parameters(), lr=at(self.lr, 0.0), betas=self.betas)

    def turn(self, module: nn.Module, optimiser: Optimizer | None, judge: Judge, count: int, progress: float) -> Made:
        assert optimiser is not None
        for group in optimiser.param_groups:
            group["lr"] = at(self.lr, progress)
        module.train()
        terms: dict[str, Tensor] = {}
        batch = None
        for _ in range(self.steps if progress else max(self.first, self.steps)):
            batch = module(count)
            loss, terms = judge(batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward(inputs=list(module.parameters()))
            if self.clip:
                nn.utils.clip_grad_norm_(module.parameters(), self.clip)
            optimiser.step()
        keep = None if batch is None else Batch(batch.images.detach(), batch.labels)
        return Made(keep, terms)

    @torch.no_grad()
    def draw(self, module: nn.Module, count: int) -> Batch:
        batch: Batch = module.train()(count)
        return batch
