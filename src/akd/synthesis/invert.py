"""Images optimised one batch at a time, pixel by pixel (DeepInversion)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.synthesis.maker import Batch, Judge, Made


class InvertState(nn.Module):
    """The batch at work, the best of it so far, and how far it has come."""

    labels: Tensor
    best: Tensor
    best_loss: Tensor
    done: Tensor

    def __init__(self, images: int, card: ModelCard):
        super().__init__()
        self.card = card
        self.images = nn.Parameter(torch.zeros(images, *card.input_size))
        self.register_buffer("labels", torch.zeros(images, dtype=torch.int64))
        self.register_buffer("best", torch.zeros(images, *card.input_size))
        self.register_buffer("best_loss", torch.tensor(float("inf")))
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def begin(self) -> None:
        """Noise of the card's mean and deviation, every class in turn."""
        mean, std = (self.images.new_tensor(v).view(1, -1, 1, 1) for v in (self.card.mean, self.card.std))
        self.images.copy_((mean + std * torch.randn_like(self.images)).clamp(0, 1))
        order = torch.randperm(self.card.num_classes, device=self.labels.device)
        self.labels.copy_(order.repeat(-(-len(self.labels) // len(order)))[: len(self.labels)])
        self.best_loss.fill_(float("inf"))
        self.done.zero_()


@dataclass(frozen=True)
class Invert:
    """`images` at a time, `iterations` steps of Adam on their pixels, `chunk` of them a turn; ready when a batch is done."""

    images: int = 256
    iterations: int = 2000
    lr: float = 0.05
    chunk: int = 25

    def build(self, card: ModelCard) -> InvertState:
        return InvertState(self.images, card)

    def optimiser(self, module: nn.Module) -> Optimizer:
        return torch.optim.Adam(module.parameters(), lr=self.lr, betas=(0.5, 0.9))

    def turn(self, module: nn.Module, optimiser: Optimizer | None, judge: Judge, count: int, progress: float) -> Made:
        assert isinstance(module, InvertState) and optimiser is not None
        if int(module.done) == 0:
            module.begin()
            optimiser.state.clear()
        terms: dict[str, Tensor] = {}
        for _ in range(min(self.chunk, self.iterations - int(module.done))):
            loss, terms = judge(Batch(module.images, module.labels))
            if loss < module.best_loss:
                module.best.copy_(module.images.detach())
                module.best_loss.copy_(loss.detach())
            loss.backward(inputs=list(module.parameters()))
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            with torch.no_grad():
                module.images.clamp_(0, 1)
            module.done += 1
        if int(module.done) < self.iterations:
            return Made(None, terms, ready=False)
        module.done.zero_()
        return Made(Batch(module.best.clone(), module.labels.clone()), terms)

    def draw(self, module: nn.Module, count: int) -> Batch:
        assert isinstance(module, InvertState)
        pick = torch.randint(len(module.best), (count,), device=module.best.device)
        return Batch(module.best[pick], module.labels[pick])
