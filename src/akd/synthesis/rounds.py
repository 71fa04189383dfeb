"""A generator sought anew for each batch of images: from scratch, from a meta-learnt start, or from the round before."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.objectives.terms import Progress
from akd.synthesis.best import BestBatch
from akd.synthesis.generators import Generator
from akd.synthesis.maker import Batch, Draw, Given, Made, descend, forget


class RoundsState(BestBatch):
    """The generator and latents at work, and where the next round starts from."""

    def __init__(self, images: int, card: ModelCard, latent: int, names: Tensor | None):
        super().__init__(images, card)
        self.generator = Generator(card.input_size, latent)
        self.start = copy.deepcopy(self.generator).requires_grad_(False)
        self.latents = nn.Parameter(torch.zeros(images, latent))
        self.label_layer = LabelLayer(names, latent, images) if names is not None else None

    def forward(self) -> Tensor:
        z = self.latents if self.label_layer is None else self.label_layer(self.labels)
        images: Tensor = self.generator(z)
        return images

    @torch.no_grad()
    def begin(self, renew: bool) -> None:
        """New latents and labels; the generator renewed or back at its start."""
        self.restart()
        if renew:
            for module in self.start.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d, nn.BatchNorm2d)):
                    module.reset_parameters()
        self.generator.load_state_dict(self.start.state_dict())
        self.latents.normal_()
        if self.label_layer is not None:
            self.label_layer.redraw()

    @torch.no_grad()
    def end(self, follow: float) -> None:
        """Move the next round's start toward this round's end by a share `follow` (Reptile, Nichol et al., 1803.02999)."""
        for start, end in zip(self.start.state_dict().values(), self.generator.state_dict().values(), strict=True):
            if start.is_floating_point():
                start.lerp_(end, follow)


class LabelLayer(nn.Module):
    """labels [B] -> latents [B, latent]: embedding of the class, BatchNorm, and linear layers that are drawn anew each round
    and so give the variety that noise gives elsewhere (NAYER, arXiv 2310.00258). Labels come in groups of K, every class once
    in each, as `BestBatch.restart` orders them; each group has a layer of its own, so that no two images are alike."""

    names: Tensor

    def __init__(self, names: Tensor, latent: int, images: int):
        super().__init__()
        self.register_buffer("names", names)
        self.norm = nn.BatchNorm1d(names.shape[1])
        self.noisy = nn.ModuleList(nn.Linear(names.shape[1], latent) for _ in range(-(-images // len(names))))

    def redraw(self) -> None:
        self.norm.reset_parameters()
        for parameter in self.noisy.parameters():
            nn.init.normal_(parameter)

    def forward(self, labels: Tensor) -> Tensor:
        groups = self.norm(self.names[labels]).split(len(self.names))
        return torch.cat([layer(group) for layer, group in zip(self.noisy, groups, strict=True)])


@dataclass(frozen=True)
class Rounds:
    """`images` at a time, `steps` generator steps each with Adam, `chunk` of them a turn; the best batch is handed over.

    renew: rounds after which the start is drawn from scratch (0: never); follow: how far the start moves toward each round's
    end; first: rounds before the student begins; names: a class's embedding [K, D] in place of noise.
    """

    images: int
    steps: int
    lr: float
    latent_lr: float = 0.0
    latent: int = 256
    renew: int = 0
    follow: float = 0.0
    first: int = 1
    names: Tensor | None = None
    chunk: int = 10

    restyles: ClassVar[bool] = False

    @property
    def passes(self) -> int:
        return self.steps

    def build(self, card: ModelCard) -> RoundsState:
        return RoundsState(self.images, card, self.latent, self.names)

    def optimiser(self, module: nn.Module) -> Optimizer:
        assert isinstance(module, RoundsState)
        body = [*module.generator.parameters(), *(module.label_layer.parameters() if module.label_layer else ())]
        groups = [{"params": body, "lr": self.lr}, {"params": [module.latents], "lr": self.latent_lr}]
        return torch.optim.Adam(groups, betas=(0.5, 0.999), fused=True)

    def turn(self, module: nn.Module, optimiser: Optimizer | None, given: Given) -> Made:
        assert isinstance(module, RoundsState) and optimiser is not None
        if module.done == 0:
            module.begin(renew=bool(self.renew and module.rounds and module.rounds % self.renew == 0))
            forget(optimiser, module.parameters())  # critics learn over all rounds

        def step(progress: Progress) -> dict[str, Tensor]:
            images = module()
            loss, terms = given.judge(Batch(images, module.labels), progress)
            module.keep_if_better(images, loss)
            descend(loss, optimiser)
            return terms

        module.generator.train()
        terms: dict[str, Tensor] = {}
        for _ in range(min(self.chunk, self.steps - module.done)):
            terms = given.repeat(step, given.progress)
            module.done += 1
        if module.done < self.steps:
            return Made(None, terms, ready=False)
        module.end(self.follow)
        keep = module.finish()
        return Made(keep, terms, ready=module.rounds >= self.first)

    def draw(self, module: nn.Module, pictures: Draw, count: int) -> Batch:
        assert isinstance(module, RoundsState)
        return module.draw(count)
