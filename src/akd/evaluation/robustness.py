"""How much of a classifier's accuracy is left when each image is moved against it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from akd.evaluation.data import TestSet
from akd.evaluation.metrics import Look, lent, nobody, percent
from akd.networks.classifier import Classifier
from akd.runtime import Rng
from akd.synthesis.pgd import pgd

STEPS = 10


@dataclass(frozen=True)
class Robustness:
    """Accuracy in percent on the same `images` test images, clean and each moved by PGD with the network's own gradient.

    epsilon: the most that a pixel in 0..1 moved (L-infinity); steps, step_size, seed: of the attack, from a random start.
    """

    images: int
    clean: float
    robust: float
    epsilon: float
    steps: int
    step_size: float
    seed: int


def robustness(
    model: Classifier,
    test_set: TestSet,
    epsilon: float = 8 / 255,
    images: int | None = None,
    batch_size: int = 100,
    device: torch.device | str | None = None,
    seed: int = 0,
    look: Look = nobody,
) -> Robustness:
    """Attack `model` with PGD-10 in steps of epsilon/4 on its cross-entropy, as ARD does (Goldblum et al., 1905.09747).

    images: attack only so many of the test images, spread evenly over the set (None: all). The model is left as it was;
    `look` is told how far it is.
    """
    count = min(images or len(test_set.labels), len(test_set.labels))
    chosen = torch.linspace(0, len(test_set.labels) - 1, count).round().long()
    place = torch.device(device) if device is not None else model.mean.device
    clean, robust = [], []
    with lent(model, place), Rng(seed, place).here():
        for i, pick in enumerate(chosen.split(batch_size)):
            look(i * batch_size / count)
            shown = test_set.images[pick].to(place, model.mean.dtype) / 255
            labels = test_set.labels[pick].to(place)

            def loss_of(moved: Tensor, labels: Tensor = labels) -> Tensor:
                return F.cross_entropy(model(moved), labels, reduction="sum")

            moved = pgd(shown, loss_of, epsilon, STEPS, epsilon / 4)
            with torch.no_grad():
                clean.append((model(shown).argmax(1) == labels).cpu())
                robust.append((model(moved).argmax(1) == labels).cpu())
    return Robustness(count, percent(torch.cat(clean)), percent(torch.cat(robust)), epsilon, STEPS, epsilon / 4, seed)
