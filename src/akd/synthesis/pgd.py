"""Projected gradient descent in the pixels: the strongest first-order attack within a box (Madry et al., 1706.06083)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def pgd(images: Tensor, loss_of: Callable[[Tensor], Tensor], epsilon: float, steps: int, step_size: float) -> Tensor:
    """Images [B, C, H, W] in 0..1 moved, each pixel by at most `epsilon` and within 0..1, to where `loss_of` is high.

    loss_of: images -> losses [B], or their sum []. From a random start (torch's random numbers), `steps` steps of `step_size`
    along the gradient's sign, all in units of pixels. The result carries no gradient, and no network's `.grad` is touched.
    """
    low, high = (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)
    moved = low + (high - low) * torch.rand_like(images)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss_of(moved).sum(), moved)
        moved = torch.clamp(moved + step_size * gradient.sign(), low, high)
    return moved.detach()
