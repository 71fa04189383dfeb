"""DFAD, FastDFKD and NAYER as their papers read, in plain PyTorch: what the engine is measured against.

Own code, written from the papers, nothing clever: the networks as they come, float32, or autocast around the forward passes.
Networks, generator, batch and constants are the engine's. Each method is an endless loop that yields after every round.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from akd.synthesis.generators import Generator
from akd.synthesis.names import name_vectors

LATENT, BANK, TEMPERATURE, PAD = 256, 50_000, 20.0, 4
BN, ONE_HOT, ADVERSARY = 10.0, 0.5, 1.33


@dataclass(frozen=True)
class Game:
    """A teacher and a student, `batch` images for each student step and `images` for each generator step, and how many of
    either make a round. mixed: bfloat16 autocast around the forward passes."""

    teacher: nn.Module
    student: nn.Module
    size: tuple[int, int, int]
    classes: int
    batch: int
    images: int
    generator_steps: int
    student_steps: int
    device: torch.device
    mixed: bool

    def run(self, network: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            return network(x).float()

    def generator(self) -> Generator:
        return Generator(self.size, LATENT).to(self.device)


def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def discrepancy(game: Game, images: Tensor) -> Tensor:
    """L1 between the logits (DFAD, eq. 3)."""
    return F.l1_loss(game.run(game.student, images), game.run(game.teacher, images))


def dfad(game: Game) -> Iterator[None]:
    """The student minimises the discrepancy, the generator maximises it (arXiv 1912.11006, algorithm 1)."""
    generator = game.generator()
    opt_s = torch.optim.SGD(game.student.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    game.student.train()
    while True:
        for _ in range(game.student_steps):
            with torch.no_grad():
                images = game.run(generator, torch.randn(game.batch, LATENT, device=game.device))
            step(opt_s, discrepancy(game, images))
        for _ in range(game.generator_steps):
            images = game.run(generator, torch.randn(game.images, LATENT, device=game.device))
            step(opt_g, -discrepancy(game, images))
        yield


class Statistics:
    """How far each BatchNorm input of the teacher's last forward pass lies from what the layer remembers, summed."""

    def __init__(self, teacher: nn.Module):
        self.distances: list[Tensor] = []
        layers = [m for m in teacher.modules() if isinstance(m, nn.BatchNorm2d)]
        self.handles = [layer.register_forward_hook(self.note) for layer in layers]

    def note(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor], _output: Tensor) -> None:
        x = inputs[0].float()
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        self.distances.append((layer.running_mean - mean).norm() + (layer.running_var - var).norm())

    def take(self) -> Tensor:
        distance = torch.stack(self.distances).sum()
        self.distances.clear()
        return distance

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


def image_loss(game: Game, statistics: Statistics, images: Tensor, labels: Tensor) -> Tensor:
    """BatchNorm statistics, the class asked for, and KL(teacher || student) where both agree, to be maximised."""
    told, answer = game.run(game.teacher, images), game.run(game.student, images)
    apart = F.kl_div(answer.log_softmax(1), told.softmax(1), reduction="none").sum(1)
    agreed = (told.argmax(1) == answer.argmax(1)).float()
    return BN * statistics.take() + ONE_HOT * F.cross_entropy(told, labels) - ADVERSARY * (apart * agreed).mean()


def imitation(game: Game, images: Tensor) -> Tensor:
    """KL of the softened answers (Hinton et al., 1503.02531)."""
    with torch.no_grad():
        told = (game.run(game.teacher, images) / TEMPERATURE).softmax(1)
    answer = (game.run(game.student, images) / TEMPERATURE).log_softmax(1)
    return F.kl_div(answer, told, reduction="batchmean") * TEMPERATURE**2


def crop_and_flip(images: Tensor) -> Tensor:
    """Each image cropped at random after padding, and mirrored half of the time."""
    h, w = images.shape[2:]
    padded = F.pad(images, (PAD,) * 4)
    corners = torch.randint(2 * PAD + 1, (len(images), 2)).tolist()
    cropped = torch.stack([image[:, y : y + h, x : x + w] for image, (y, x) in zip(padded, corners, strict=True)])
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, cropped.flip(3), cropped)


def synthesise(game: Game, make: Callable[[], Tensor], labels: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
    """A round of generator steps; the images of the lowest loss."""
    statistics = Statistics(game.teacher)
    game.student.eval()
    best, lowest = torch.empty(0), float("inf")
    for _ in range(game.generator_steps):
        images = make()
        loss = image_loss(game, statistics, crop_and_flip(images), labels)
        if loss.item() < lowest:
            best, lowest = images.detach().clone(), loss.item()
        step(optimiser, loss)
    statistics.close()
    return best


def imitate(game: Game, optimiser: torch.optim.Optimizer, bank: Tensor) -> None:
    """A round of student steps on images from the bank."""
    game.student.train()
    for _ in range(game.student_steps):
        images = bank[torch.randint(len(bank), (game.batch,), device=bank.device)].float() / 255
        step(optimiser, imitation(game, crop_and_flip(images)))


def kept(bank: Tensor, images: Tensor) -> Tensor:
    return torch.cat([bank, (images * 255).round().to(torch.uint8)])[-BANK:]


def fast(game: Game) -> Iterator[None]:
    """A generator adapted anew in each round from a start that is meta-learnt, first order (arXiv 2112.06253, algorithm 1)."""
    start = game.generator()
    opt_start = torch.optim.Adam(start.parameters(), lr=3e-3, betas=(0.5, 0.999))
    opt_s = torch.optim.SGD(game.student.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
    bank = torch.empty(0, *game.size, dtype=torch.uint8, device=game.device)
    while True:
        z = torch.randn(game.images, LATENT, device=game.device).requires_grad_()
        labels = torch.randint(game.classes, (game.images,), device=game.device)
        generator = copy.deepcopy(start)
        groups = [{"params": generator.parameters()}, {"params": [z], "lr": 0.01}]
        opt_g = torch.optim.Adam(groups, lr=3e-3, betas=(0.5, 0.999))
        best = synthesise(game, lambda g=generator, z=z: game.run(g, z), labels, opt_g)
        for at_start, at_end in zip(start.parameters(), generator.parameters(), strict=True):
            at_start.grad = at_end.grad
        opt_start.step()
        bank = kept(bank, best)
        imitate(game, opt_s, bank)
        yield


def nayer(game: Game) -> Iterator[None]:
    """Class vectors through a linear layer drawn anew in each round in place of noise (arXiv 2310.00258, algorithm 1)."""
    names = name_vectors(None, game.classes).to(game.device)
    opt_s = torch.optim.SGD(game.student.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)
    bank = torch.empty(0, *game.size, dtype=torch.uint8, device=game.device)
    rounds = 0
    while True:
        if rounds % 20 == 0:
            generator = game.generator()
        noisy = nn.Linear(names.shape[1], LATENT)
        nn.init.normal_(noisy.weight)
        nn.init.normal_(noisy.bias)
        maker = nn.Sequential(nn.BatchNorm1d(names.shape[1]), noisy, generator).to(game.device)
        labels = torch.randint(game.classes, (game.images,), device=game.device)
        opt_g = torch.optim.Adam(maker.parameters(), lr=4e-3, betas=(0.5, 0.999))
        best = synthesise(game, lambda m=maker, y=labels: game.run(m, names[y]), labels, opt_g)
        bank = kept(bank, best)
        imitate(game, opt_s, bank)
        rounds += 1
        yield


LOOPS: dict[str, Callable[[Game], Iterator[None]]] = {"dfad": dfad, "fast": fast, "nayer": nayer}
