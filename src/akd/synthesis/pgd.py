"""Adversarial examples by projected gradient ascent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def pgd(images: Tensor, loss_of: Callable[[Tensor], Tensor], epsilon: float, steps: int, step_size: float) -> Tensor:
    """Images [B, C, H, W] changed by at most `epsilon` a pixel, within 0..1, so that `loss_of(images)` [] is high.

    From a random start, `steps` times: x <- clip(x + step_size * sign(gradient)) (Madry et al., 1706.06083).
    The loss is summed or averaged over the batch by the caller: only the gradient's sign counts. No gradient is left anywhere.
    """
    low, high = (images - epsilon).clamp_min(0), (images + epsilon).clamp_max(1)
    x = torch.minimum(torch.maximum(images + epsilon * (2 * torch.rand_like(images) - 1), low), high)
    for _ in range(steps):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(loss_of(x), x)
        x = torch.minimum(torch.maximum(x.detach() + step_size * slope.sign(), low), high)
    return x.detach()
