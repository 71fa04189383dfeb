"""How alike two networks' feature maps are: pure functions that return a scalar []."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def paired(student: list[Tensor], teacher: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Feature maps [B, C, H, W] of equal resolution, (student's, teacher's), from fine to coarse.

    Where no resolution is shared, the coarsest of each, the larger one averaged down to the smaller.
    """
    by_size = {t.shape[-2:]: t for t in teacher}
    pairs = [(s, by_size[s.shape[-2:]]) for s in student if s.shape[-2:] in by_size]
    if pairs or not (student and teacher):
        return pairs
    s, t = student[-1], teacher[-1]
    size = (min(s.shape[-2], t.shape[-2]), min(s.shape[-1], t.shape[-1]))
    return [(F.adaptive_avg_pool2d(s, size), F.adaptive_avg_pool2d(t, size))]


def attention(feature: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H*W]: mean squared activation over channels, of length one (Zagoruyko & Komodakis, 1612.03928)."""
    return F.normalize(feature.float().square().mean(1).flatten(1))


def attention_distance(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Mean squared difference of the attention maps, summed over stages (ZSKT, eq. 2)."""
    return torch.stack([(attention(s) - attention(t)).square().mean() for s, t in paired(student, teacher)]).sum()
