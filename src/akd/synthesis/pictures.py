"""Pictures from formulas: nobody's data, no gradient, any number of them.

Colours are drawn around the mean and deviation that travel with the teacher's normalisation, and channels go together as
those of photographs do. What this is worth against saturated colours is in docs/lab.md.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from akd.networks.classifier import ModelCard

SHAPES = 24
SCALES = (2, 4, 8, 16, 32)
SHARED, OWN = 0.92, 0.4  # of a colour's deviation: what all channels share, what each has alone (squares add up to 1)


def pictures(count: int, card: ModelCard, device: torch.device | None = None) -> Tensor:
    """[count, C, H, W] in 0..1: three quarters dead leaves with texture, one quarter clouds."""
    mean, std = colours(card, device)
    leaves = count * 3 // 4
    drawn = torch.cat([dead_leaves(leaves, card, device), clouds(count - leaves, card, device)])
    return (mean + std * drawn).clamp(0, 1)


def colours(card: ModelCard, device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a pixel, [C, 1, 1] each; filled in on the device, since the host waits for what it copies there."""
    mean, std = (torch.stack([torch.full((1, 1), v, device=device) for v in values]) for values in (card.mean, card.std))
    return mean, std


def noise(count: int, channels: int, height: int, width: int, device: torch.device | None) -> Tensor:
    """Normal noise [count, channels, height, width] of deviation 1 that channels mostly share."""
    alone = torch.randn(count, channels, height, width, device=device)
    return alone if channels == 1 else SHARED * torch.randn(count, 1, height, width, device=device) + OWN * alone


def clouds(count: int, card: ModelCard, device: torch.device | None = None) -> Tensor:
    """Noise at five scales with random shares and contrast, in units of the deviation: [count, C, H, W]."""
    return texture(count, card, device) * (0.5 + torch.rand(count, 1, 1, 1, device=device))


def texture(count: int, card: ModelCard, device: torch.device | None) -> Tensor:
    """Sum over scales of smooth noise, the finest at half weight: [count, C, H, W]."""
    channels, h, w = card.input_size
    total = torch.zeros(count, channels, h, w, device=device)
    for scale in SCALES:
        small = noise(count, channels, min(scale, h), min(scale, w), device)
        share = torch.rand(count, 1, 1, 1, device=device) * (1.0 if scale < SCALES[-2] else 0.5)
        total += share * F.interpolate(small, size=(h, w), mode="bicubic", align_corners=False)
    return total


def dead_leaves(count: int, card: ModelCard, device: torch.device | None = None) -> Tensor:
    """Shaded ellipses and rectangles over one another, textured, in units of the deviation: [count, C, H, W].

    Radii follow r^-3 between a twentieth and a half of the side, which gives the scale invariance of natural images
    (Lee, Mumford & Huang, IJCV 2001; for learning without data: Baradad et al., NeurIPS 2021).
    """
    channels, h, w = card.input_size
    side = max(h, w)
    y = torch.arange(h, device=device).view(1, h, 1) + 0.5
    x = torch.arange(w, device=device).view(1, 1, w) + 0.5
    images = noise(count, channels, 1, 1, device).expand(-1, -1, h, w).clone()
    low, high = max(side / 20, 0.7) ** -2, (side / 2) ** -2
    for _ in range(SHAPES):
        draw = torch.rand(5, count, 1, 1, device=device)
        radius, angle = (low + draw[0] * (high - low)) ** -0.5, draw[1] * math.pi
        stretch = torch.exp(0.5 * torch.randn(count, 1, 1, device=device))
        down, across = (y - draw[2] * h) / radius, (x - draw[3] * w) / radius
        u = (down * angle.cos() + across * angle.sin()) * stretch
        v = (across * angle.cos() - down * angle.sin()) / stretch
        inside = torch.where(draw[4] < 0.5, torch.maximum(u.abs(), v.abs()) <= 0.8, u.square() + v.square() <= 1)
        slope = 0.6 * torch.randn(count, 2, 1, 1, device=device)
        leaf = noise(count, channels, 1, 1, device) + slope[:, :1] * u[:, None] + slope[:, 1:] * v[:, None]
        images = torch.where(inside[:, None], leaf, images)
    return images + 0.6 * torch.rand(count, 1, 1, 1, device=device) * texture(count, card, device)
