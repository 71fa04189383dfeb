"""What makes an image look like one the teacher was trained on: pure functions that return a scalar []."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def batch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance per channel of [B, C, ...], each [C]."""
    over = [0, *range(2, x.ndim)]
    return x.mean(over), x.var(over, unbiased=False)


def bn_mismatch(layers: list[tuple[nn.Module, Tensor]]) -> Tensor:
    """Sum over BatchNorm layers of |mu_T - mu|_2 + |var_T - var|_2, the batch against the teacher's statistics.

    DeepInversion (Yin et al., CVPR 2020), eq. 4, in the unsquared form of CMI, FastDFKD and NAYER.
    """
    parts = []
    for layer, x in layers:
        mean, var = batch_moments(x.float())
        told_mean, told_var = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
        parts += [(told_mean - mean).norm(), (told_var - var).norm()]
    return torch.stack(parts).sum()


def total_variation(images: Tensor) -> Tensor:
    """Mean squared step between neighbours, down and across (Mahendran & Vedaldi, 1412.0035)."""
    return images.diff(dim=2).square().mean() + images.diff(dim=3).square().mean()


def activation(feature: Tensor) -> Tensor:
    """Mean absolute activation of the last feature [B, D]; real images excite it, so makers maximise it (DAFL, eq. 4)."""
    return feature.abs().mean()
