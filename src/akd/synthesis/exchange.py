"""Feature maps of the generator kept in place of images, their channels exchanged on the way out (SpaceshipNet)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.synthesis.bank import MOST_BYTES
from akd.synthesis.maker import Batch, Draw, Given, Made
from akd.synthesis.rounds import Rounds, RoundsState


class ExchangeState(RoundsState):
    """A `RoundsState` with a ring of feature maps [N, C, H, W] in half precision and the classes asked of them."""

    maps: Tensor
    asked: Tensor

    def __init__(self, images: int, card: ModelCard, latent: int, maps: int):
        super().__init__(images, card, latent, None)
        shape = self.generator.map_size
        capacity = max(images, min(maps, MOST_BYTES // (2 * math.prod(shape))))
        self.register_buffer("maps", torch.zeros(capacity, *shape, dtype=torch.float16))
        self.register_buffer("asked", torch.zeros(capacity, dtype=torch.int64))

    @torch.no_grad()
    def keep_maps(self) -> None:
        """Keep what the round has come to; the oldest maps go first."""
        start = (self.rounds - 1) * len(self.labels)
        slots = torch.arange(start, start + len(self.labels), device=self.maps.device) % len(self.maps)
        self.maps[slots] = self.generator.early(self.latents).half()
        self.asked[slots] = self.labels

    @torch.no_grad()
    def exchanged(self, count: int, share: float) -> Batch:
        """`count` images of kept maps, a `share` of them with half of their channels, drawn anew for each, from another."""
        held = min(self.rounds * len(self.labels), len(self.maps))
        pick = torch.randint(held, (count,), device=self.maps.device)
        maps = self.maps[pick].float()
        chosen = torch.rand(count, 1, 1, 1, device=maps.device) < share
        channels = torch.rand(*maps.shape[:2], 1, 1, device=maps.device) < 0.5
        mixed = torch.where(chosen & channels, maps[torch.randperm(count, device=maps.device)], maps)
        return Batch(self.generator.late(mixed), self.asked[pick])


@dataclass(frozen=True, kw_only=True)
class Exchange(Rounds):
    """`Rounds` whose maps are kept, at most `maps` of them (512 MB at the most), and exchanged with probability `share`."""

    share: float
    maps: int

    def build(self, card: ModelCard) -> ExchangeState:
        return ExchangeState(self.images, card, self.latent, self.maps)

    def turn(self, module: nn.Module, optimiser: Optimizer | None, given: Given) -> Made:
        assert isinstance(module, ExchangeState)
        made = super().turn(module, optimiser, given)
        if made.keep:
            module.keep_maps()
        return made

    def draw(self, module: nn.Module, pictures: Draw, count: int) -> Batch:
        assert isinstance(module, ExchangeState)
        return module.exchanged(count, self.share)
