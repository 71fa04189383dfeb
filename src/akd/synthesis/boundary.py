"""Images moved to a classifier's decision boundary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MARGIN = 0.01
MOST = 0.5  # of an image's norm in one step: where the gradient nearly vanishes, Newton's step is unbounded


def toward_boundary(images: Tensor, network: nn.Module, steps: int, rate: float = 1.0) -> Tensor:
    """Images [B, C, H, W] moved `steps` times toward the boundary between their class and the next likely one, kept in 0..1.

    x <- x - rate * (f_own - f_next + margin) / |g|^2 * g, with g the gradient of f_own - f_next, f in logits (BSS, eq. 4,
    with the runner-up as the target): at rate 1 one step lands just beyond the boundary of a linear network. An image that
    has crossed stays.
    """
    with torch.no_grad():
        own, other = network(images).topk(2).indices.unbind(1)
    x = images.detach()
    for _ in range(steps):
        x = x.requires_grad_()
        logits = network(x).float()
        gap = (logits.gather(1, own[:, None]) - logits.gather(1, other[:, None]))[:, 0]
        (slope,) = torch.autograd.grad(gap.sum(), x)
        with torch.no_grad():
            inside = (gap > 0).view(-1, 1, 1, 1)
            move = rate * ((gap + MARGIN) / slope.square().sum((1, 2, 3)).clamp_min(1e-12)).view(-1, 1, 1, 1) * slope
            length = move.flatten(1).norm(dim=1).clamp_min(1e-12)
            most = MOST * x.flatten(1).norm(dim=1)
            move *= (most / length).clamp_max(1.0).view(-1, 1, 1, 1)
            x = torch.where(inside, (x - move).clamp(0, 1), x)
    return x.detach()
