"""Small teachers from real data, for the quickstart and the bench; nothing that distils comes here."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.runtime import Rng
from akd.synthesis.augment import shift

BATCH = 64


def train_teacher(
    card: ModelCard,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: float,
    seed: int,
    watch: Callable[[float, str], None] = lambda progress, note: None,
) -> Classifier:
    """The card's architecture trained on images uint8 [N, C, H, W] and labels [N], shifted by up to an eighth of the side."""
    pad = max(1, card.input_size[-1] // 8)
    with Rng(seed).here():
        net = zoo.build(card.architecture, card.num_classes, card.input_size, **card.arguments)
        teacher = Classifier(net, card)
        steps = int(epochs * (len(labels) // BATCH))
        optimiser = torch.optim.Adam(teacher.parameters(), lr=3e-3, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
        for step in range(steps):
            pick = torch.randint(len(labels), (BATCH,))
            shifted = shift(images[pick].float() / 255, pad, flip=False)
            loss = F.cross_entropy(teacher.train()(shifted), labels[pick], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 50 == 0 or step == steps - 1:
                watch((step + 1) / steps, f"loss {loss.item():.3f}")
    return teacher.freeze()
