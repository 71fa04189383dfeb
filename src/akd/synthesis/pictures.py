"""Pictures from a formula: nobody's data, no gradient, any number of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAVES = 24
FINEST, COARSEST = 1.25, 3.0


def pictures(count: int, input_size: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """[count, C, H, W] in 0..1: the first half dead leaves, the rest clouds."""
    half = count // 2
    return torch.cat([dead_leaves(half, input_size, device), clouds(count - half, input_size, device)])


def clouds(count: int, input_size: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """[count, C, H, W] in 0..1: noise at three scales, summed with random shares, through a sigmoid of random contrast.

    Low contrast gives smooth clouds, high contrast blots and strokes. Channels share three quarters of their noise, as
    those of photographs do.
    """
    channels, h, w = input_size
    total = torch.zeros(count, channels, h, w, device=device)
    for divisor in (COARSEST, (COARSEST + FINEST) / 2, FINEST):
        size = (max(2, round(h / divisor)), max(2, round(w / divisor)))
        noise = torch.randn(count, 1, *size, device=device) * (0.75 if channels > 1 else 1.0)
        if channels > 1:
            noise = noise + 0.66 * torch.randn(count, channels, *size, device=device)
        share = torch.rand(count, 1, 1, 1, device=device)
        total += share * F.interpolate(noise, size=(h, w), mode="bicubic", align_corners=False)
    darkness, contrast = torch.rand(2, count, 1, 1, 1, device=device)
    return torch.sigmoid((total - 0.6 * darkness) * (1 + 6 * contrast))


def dead_leaves(count: int, input_size: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """[count, C, H, W] in 0..1: opaque discs of random place, size and shaded colour, the later over the earlier.

    Radii follow r^-3 between a twentieth and a half of the side, which gives the scale invariance of natural images
    (Lee, Mumford & Huang, IJCV 2001; for learning without data: Baradad et al., NeurIPS 2021).
    """
    channels, h, w = input_size
    side = max(h, w)
    y = torch.arange(h, device=device).view(1, h, 1) + 0.5
    x = torch.arange(w, device=device).view(1, 1, w) + 0.5
    images = torch.rand(count, channels, 1, 1, device=device).expand(-1, -1, h, w).clone()
    lo, hi = max(side / 20, 0.7), side / 2
    for _ in range(LEAVES):
        radius = (lo**-2 + torch.rand(count, 1, 1, device=device) * (hi**-2 - lo**-2)) ** -0.5
        cy, cx = torch.rand(count, 1, 1, device=device) * h, torch.rand(count, 1, 1, device=device) * w
        colour = torch.rand(count, channels, 1, 1, device=device)
        shade = torch.rand(count, 2, 1, 1, device=device) - 0.5
        dy, dx = (y - cy) / radius, (x - cx) / radius
        inside = (dy.square() + dx.square() <= 1).unsqueeze(1)
        leaf = colour + 0.3 * (shade[:, :1] * dy.unsqueeze(1) + shade[:, 1:] * dx.unsqueeze(1))
        images = torch.where(inside, leaf, images)
    return images.clamp(0, 1)
