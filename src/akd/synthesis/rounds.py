"""A generator sought anew for each batch of images: from scratch, from a meta-learnt start, or from the round before."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from akd.networks.classifier import ModelCard
from akd.synthesis.generators import Generator
from akd.synthesis.maker import Batch, Judge, Made


class RoundsState(nn.Module):
    """The generator and latents at work, where the next round starts from, and the best batch of this round so far."""

    labels: Tensor
    best: Tensor
    best_loss: Tensor
    done: Tensor
    rounds: Tensor

    def __init__(self, images: int, card: ModelCard, latent: int, names: Tensor | None):
        super().__init__()
        self.num_classes = card.num_classes
        self.generator = Generator(card.input_size, latent)
        self.start = copy.deepcopy(self.generator).requires_grad_(False)
        self.latents = nn.Parameter(torch.zeros(images, latent))
        self.label_layer = LabelLayer(names, latent) if names is not None else None
        self.register_buffer("labels", torch.zeros(images, dtype=torch.int64))
        self.register_buffer("best", torch.zeros(images, *card.input_size))
        self.register_buffer("best_loss", torch.tensor(float("inf")))
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("rounds", torch.zeros((), dtype=torch.int64))

    def forward(self) -> Tensor:
        z = self.latents if self.label_layer is None else self.label_layer(self.labels)
        images: Tensor = self.generator(z)
        return images

    @torch.no_grad()
    def begin(self, renew: bool) -> None:
        """New latents and labels (every class in turn); the generator renewed or back at its start."""
        if renew:
            for module in self.start.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d, nn.BatchNorm2d)):
                    module.reset_parameters()
        self.generator.load_state_dict(self.start.state_dict())
        self.latents.normal_()
        if self.label_layer is not None:
            self.label_layer.redraw()
        order = torch.randperm(self.num_classes, device=self.labels.device)
        self.labels.copy_(order.repeat(-(-len(self.labels) // len(order)))[: len(self.labels)])
        self.best_loss.fill_(float("inf"))
        self.done.zero_()

    @torch.no_grad()
    def end(self, follow: float) -> None:
        """Move the next round's start toward this round's end by a share `follow` (Reptile, Nichol et al., 1803.02999)."""
        for start, end in zip(self.start.state_dict().values(), self.generator.state_dict().values(), strict=True):
            if start.is_floating_point():
                start.lerp_(end, follow)
        self.rounds += 1
        self.done.zero_()


class LabelLayer(nn.Module):
    """labels [B] -> latents [B, latent]: embedding of the class, BatchNorm, and a linear layer that is drawn anew each round
    and so gives the variety that noise gives elsewhere (NAYER, arXiv 2310.00258)."""

    names: Tensor

    def __init__(self, names: Tensor, latent: int):
        super().__init__()
        self.register_buffer("names", names)
        self.norm = nn.BatchNorm1d(names.shape[1])
        self.noisy = nn.Linear(names.shape[1], latent)

    def redraw(self) -> None:
        self.norm.reset_parameters()
        nn.init.normal_(self.noisy.weight)
        nn.init.normal_(self.noisy.bias)

    def forward(self, labels: Tensor) -> Tensor:
        z: Tensor = self.noisy(self.norm(self.names[labels]))
        return z


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

    def build(self, card: ModelCard) -> RoundsState:
        return RoundsState(self.images, card, self.latent, self.names)

    def optimiser(self, module: nn.Module) -> Optimizer:
        assert isinstance(module, RoundsState)
        body = [*module.generator.parameters(), *(module.label_layer.parameters() if module.label_layer else ())]
        groups = [{"params": body, "lr": self.lr}, {"params": [module.latents], "lr": self.latent_lr}]
        return torch.optim.Adam(groups, betas=(0.5, 0.999))

    def turn(self, module: nn.Module, optimiser: Optimizer | None, judge: Judge, count: int, progress: float) -> Made:
        assert isinstance(module, RoundsState) and optimiser is not None
        if int(module.done) == 0:
            rounds = int(module.rounds)
            module.begin(renew=bool(self.renew and rounds and rounds % self.renew == 0))
            optimiser.state.clear()
        module.generator.train()
        terms: dict[str, Tensor] = {}
        trained = [p for group in optimiser.param_groups for p in group["params"]]
        for _ in range(min(self.chunk, self.steps - int(module.done))):
            images = module()
            loss, terms = judge(Batch(images, module.labels))
            if loss < module.best_loss:
                module.best.copy_(images.detach())
                module.best_loss.copy_(loss.detach())
            loss.backward(inputs=trained)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            module.done += 1
        if int(module.done) < self.steps:
            return Made(None, terms, ready=False)
        module.end(self.follow)
        return Made(Batch(module.best.clone(), module.labels.clone()), terms, ready=int(module.rounds) >= self.first)

    def draw(self, module: nn.Module, count: int) -> Batch:
        assert isinstance(module, RoundsState)
        pick = torch.randint(len(module.best), (count,), device=module.best.device)
        return Batch(module.best[pick], module.labels[pick])
