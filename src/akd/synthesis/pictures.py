"""Pictures from formulas: nobody's data, no gradient, any number of them.

Colours are drawn around the mean and deviation that travel with the teacher's normalisation, and channels go together as
those of photographs do. What this is worth against saturated colours is in docs/lab.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from akd.networks.classifier import ModelCard

SHAPES = 12
EDGE = 0.5  # pixels over which a leaf's edge blurs, as a lens and a sensor blur it
SLOPE, ROUGH = 1.2, 0.6  # deviations: shading from a leaf's middle to its edge, texture at the most
FALLS = (1.0, 2.0)  # exponents of 1/f: photographs have about 1, out of focus more
SHARED, OWN = 0.92, 0.4  # of a colour's deviation: what all channels share, what each has alone (squares add up to 1)
MOST = 1 << 24  # positions of leaves worked on at a time


def pictures(count: int, card: ModelCard, device: torch.device | None = None) -> Tensor:
    """[count, C, H, W] in 0..1: seven eighths dead leaves, one eighth clouds."""
    mean, std = colours(card, device)
    shares = (dead_leaves, count - count // 8), (clouds, count // 8)
    drawn = torch.cat([draw(some, card, device) for draw, some in shares if some])
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
    """Noise of deviation 1 whose amplitude falls with frequency as f^-a, a drawn for each picture: [count, C, H, W]."""
    channels, h, w = card.input_size
    down, across = torch.fft.fftfreq(h, device=device), torch.fft.rfftfreq(w, device=device)
    frequency = (down[:, None].square() + across.square()).sqrt().clamp_min(1 / max(h, w))
    fall = FALLS[0] + (FALLS[1] - FALLS[0]) * torch.rand(count, 1, 1, 1, device=device)
    drawn = torch.fft.irfft2(torch.fft.rfft2(noise(count, channels, h, w, device)) * frequency**-fall, s=(h, w))
    return drawn / drawn.std((1, 2, 3), keepdim=True)


def dead_leaves(count: int, card: ModelCard, device: torch.device | None = None) -> Tensor:
    """One to twelve ellipses and rectangles over one another and over a ground, in units of the deviation: [count, C, H, W].

    Each has a colour, a slope of brightness and its share of one texture. Radii follow r^-3 between a tenth and a half of the
    side, which gives the scale invariance of natural images (Lee, Mumford & Huang, IJCV 2001; for learning without data:
    Baradad et al., NeurIPS 2021). Edges are soft: what sharp ones cost is in docs/lab.md.
    """
    at_once = max(1, MOST // (SHAPES * math.prod(card.input_size[1:])))
    parts = [min(at_once, count - done) for done in range(0, count, at_once)]
    return torch.cat([_dead_leaves(part, card, device) for part in parts])


def _dead_leaves(count: int, card: ModelCard, device: torch.device | None) -> Tensor:
    channels, h, w = card.input_size
    y = (torch.arange(h, device=device).view(h, 1) + 0.5).expand(h, w)
    x = (torch.arange(w, device=device) + 0.5).expand(h, w)
    cover, u, v = _leaves(count, y, x)
    beneath = (1 - cover).flip(0).cumprod(0).flip(0)  # what a leaf and those above it leave of what lies below
    cover = cover * torch.cat([beneath[1:], torch.ones_like(beneath[:1])])
    # The ground is the lowest leaf, as large as the picture.
    cover = torch.cat([beneath[:1], cover])
    u, v = (torch.cat([middle.expand(1, count, h, w), leaf]) for middle, leaf in ((2 * y / h - 1, u), (2 * x / w - 1, v)))
    slope, rough = torch.randn(2, SHAPES + 1, count, 1, 1, device=device), torch.rand(SHAPES + 1, count, 1, 1, device=device)
    colour = noise((SHAPES + 1) * count, channels, 1, 1, device).view(SHAPES + 1, count, channels)
    flat = torch.einsum("snhw,snc->nchw", cover, colour)
    shade = SLOPE * (cover * (slope[0] * u + slope[1] * v)).sum(0)
    return flat + shade[:, None] + ROUGH * (cover * rough).sum(0)[:, None] * clouds(count, card, device)


def _leaves(count: int, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How much of a pixel each leaf covers, 0..1, and where in it that lies, -1..1 down and across: [SHAPES, count, H, W]."""
    h, w = y.shape
    draw = torch.rand(5, SHAPES, count, 1, 1, device=y.device)
    low, high = max(max(h, w) / 10, 0.7) ** -2, (max(h, w) / 2) ** -2
    radius, angle = (low + draw[0] * (high - low)) ** -0.5, draw[1] * math.pi
    stretch = torch.exp(0.5 * torch.randn(SHAPES, count, 1, 1, device=y.device))
    down, across = (y - draw[2] * h) / radius, (x - draw[3] * w) / radius
    u = (down * angle.cos() + across * angle.sin()) * stretch
    v = (across * angle.cos() - down * angle.sin()) / stretch
    distance = torch.where(draw[4] < 0.5, torch.maximum(u.abs(), v.abs()) / 0.8, (u.square() + v.square()).sqrt())
    number = torch.randint(1, SHAPES + 1, (count, 1, 1), device=y.device)
    wanted = torch.arange(SHAPES, device=y.device).view(-1, 1, 1, 1) < number
    return torch.sigmoid((1 - distance) * radius / EDGE) * wanted, u, v
