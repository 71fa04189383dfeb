"""A batch that is worked on for many steps: its labels, the best it has been, and how far it has come."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from akd.networks.classifier import ModelCard
from akd.synthesis.maker import Batch


class BestBatch(nn.Module):
    """What makers that hand over the best of many steps keep between turns. `done` counts steps, `rounds` batches."""

    labels: Tensor
    best: Tensor
    best_loss: Tensor

    def __init__(self, images: int, card: ModelCard):
        super().__init__()
        self.card = card
        self.done, self.rounds = 0, 0  # plain numbers: nobody waits for the device to learn them
        self.register_buffer("labels", torch.zeros(images, dtype=torch.int64))
        self.register_buffer("best", torch.zeros(images, *card.input_size))
        self.register_buffer("best_loss", torch.tensor(float("inf")))

    def get_extra_state(self) -> Any:
        return {"done": self.done, "rounds": self.rounds}

    def set_extra_state(self, state: Any) -> None:
        self.done, self.rounds = state["done"], state["rounds"]

    @torch.no_grad()
    def restart(self) -> None:
        """A new batch: every class in turn, in random order, and nothing kept."""
        order = torch.randperm(self.card.num_classes, device=self.labels.device)
        self.labels.copy_(order.repeat(-(-len(self.labels) // len(order)))[: len(self.labels)])
        self.best_loss.fill_(float("inf"))

    @torch.no_grad()
    def keep_if_better(self, images: Tensor, loss: Tensor) -> None:
        self.best.copy_(torch.where(loss < self.best_loss, images, self.best))
        self.best_loss.copy_(torch.minimum(self.best_loss, loss))

    def finish(self) -> Batch:
        """The best of this batch, copied: the next one overwrites it."""
        self.done, self.rounds = 0, self.rounds + 1
        return Batch(self.best.clone(), self.labels.clone())

    def draw(self, count: int) -> Batch:
        pick = torch.randint(len(self.best), (count,), device=self.best.device)
        return Batch(self.best[pick], self.labels[pick])
