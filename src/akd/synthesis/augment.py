"""What is done to images before a network sees them: whole batches, one draw for each image, on their own device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shift(images: Tensor, pad: int, flip: bool) -> Tensor:
    """Random crop after padding with the edge by `pad` pixels, and a mirror image half of the time. [B, C, H, W] -> same."""
    b, _, h, w = images.shape
    device = images.device
    rows = torch.arange(h, device=device) + torch.randint(0, 2 * pad + 1, (b, 1), device=device)
    cols = torch.arange(w, device=device) + torch.randint(0, 2 * pad + 1, (b, 1), device=device)
    if flip:
        cols = torch.where(torch.rand(b, 1, device=device) < 0.5, cols.flip(1), cols)
    padded = F.pad(images, (pad,) * 4, mode="replicate").permute(0, 2, 3, 1)
    index = torch.arange(b, device=device)[:, None, None]
    return padded[index, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


def some_of(images: Tensor, share: float) -> Tensor:
    """Indices of a random `share` of images [B, ...]."""
    return torch.randperm(len(images), device=images.device)[: round(share * len(images))]


def cutmix(images: Tensor, share: float = 1.0) -> Tensor:
    """A `share` of the images with a rectangle from another, its area uniform in 0..1 (Yun et al., 1905.04899)."""
    b, _, h, w = images.shape
    device = images.device
    side = torch.rand(b, 1, device=device).sqrt()
    y, x = torch.rand(b, 1, device=device) * h, torch.rand(b, 1, device=device) * w
    rows = (torch.arange(h, device=device) + 0.5 - y).abs() < side * h / 2
    cols = (torch.arange(w, device=device) + 0.5 - x).abs() < side * w / 2
    chosen = torch.rand(b, 1, 1, device=device) < share
    inside = (rows[:, :, None] & cols[:, None, :] & chosen)[:, None]
    return torch.where(inside, images[torch.randperm(b, device=device)], images)
