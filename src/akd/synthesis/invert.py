"""Images optimised one batch at a time, pixel by pixel (DeepInversion)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Progress
from akd.synthesis.best import BestBatch
from akd.synthesis.maker import Batch, Draw, Given, Made, descend, forget
from akd.synthesis.pictures import colours


class InvertState(BestBatch):
    """The batch at work, as pixels."""

    def __init__(self, images: int, card: ModelCard):
        super().__init__(images, card)
        self.images = nn.Parameter(torch.zeros(images, *card.input_size))

    @torch.no_grad()
    def begin(self) -> None:
        """Noise of the card's mean and deviation."""
        self.restart()
        mean, std = colours(self.card, self.images.device)
        self.images.copy_((mean + std * torch.randn_like(self.images)).clamp(0, 1))


@dataclass(frozen=True)
class Invert:
    """`images` at a time, `iterations` steps of Adam on their pixels, `chunk` of them a turn; ready when a batch is done."""

    images: int = 256
    iterations: int = 2000
    lr: float = 0.05
    chunk: int = 25

    restyles: ClassVar[bool] = False

    @property
    def passes(self) -> int:
        return self.iterations

    def build(self, card: ModelCard) -> InvertState:
        return InvertState(self.images, card)

    def optimiser(self, module: nn.Module) -> Optimizer:
        return torch.optim.Adam(module.parameters(), lr=self.lr, betas=(0.5, 0.9), fused=True)

    def turn(self, module: nn.Module, optimiser: Optimizer | None, given: Given) -> Made:
        assert isinstance(module, InvertState) and optimiser is not None
        if module.done == 0:
            module.begin()
            forget(optimiser, [module.images])

        def step(progress: Progress) -> dict[str, Tensor]:
            loss, terms = given.judge(Batch(module.images, module.labels), progress)
            module.keep_if_better(module.images, loss)
            descend(loss, optimiser)
            with torch.no_grad():
                module.images.clamp_(0, 1)
            return terms

        terms: dict[str, Tensor] = {}
        for _ in range(min(self.chunk, self.iterations - module.done)):
            terms = given.repeat(step, given.progress)
            module.done += 1
        if module.done < self.iterations:
            return Made(None, terms, ready=False)
        return Made(module.finish(), terms)

    def draw(self, module: nn.Module, pictures: Draw, count: int) -> Batch:
        assert isinstance(module, InvertState)
        return module.draw(count)
