"""What makes an image look like one the teacher was trained on: pure functions that return a scalar []."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class _Moments(torch.autograd.Function):
    """Mean and biased variance over all but the channels in float32; one multiply-add backward.

    Written out because they are taken of every BatchNorm input: several times faster on a CPU than `mean` and `var`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        # BatchNorm's own kernel: no copy of x in float32, nothing cancels. What it would update decides the moments' type.
        unused = x.new_zeros(2, x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))
        mean, var = torch.batch_norm_update_stats(x, unused[0], unused[1], 0.0)
        ctx.save_for_backward(x, mean)
        return mean, var

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_var: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        # (x - mean) * 2 * grad_var / count + grad_mean / count, which is what BatchNorm with these as its weights computes.
        # Not by torch.nn.functional and not by cuDNN: some of their versions refuse an epsilon of zero.
        one = torch.ones_like(mean)
        return torch.batch_norm(x, 2 * grad_var / count, grad_mean / count, mean, one, False, 0.0, 0.0, False)


def batch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance per channel of [B, C, ...], each [C] in float32 (or float64 for float64)."""
    mean, var = _Moments.apply(x)
    return mean, var


def bn_mismatch(layers: list[tuple[nn.Module, Tensor]]) -> Tensor:
    """Sum over BatchNorm layers of |mu_T - mu|_2 + |var_T - var|_2, the batch against the teacher's statistics.

    DeepInversion (Yin et al., CVPR 2020), eq. 4, in the unsquared form of CMI, FastDFKD and NAYER.
    """
    told = [layer.get_buffer(name) for layer, _ in layers for name in ("running_mean", "running_var")]
    seen = [moment for _, x in layers for moment in batch_moments(x)]
    # All layers at once: on a GPU that is a few kernels instead of a few for each.
    return torch.stack(torch._foreach_norm(torch._foreach_sub(told, seen))).sum()


def relative_bn_mismatch(layers: list[tuple[nn.Module, Tensor]]) -> Tensor:
    """Mean over BatchNorm layers of rms((mu - mu_T) / sqrt(unit)) + rms((var - var_T) / unit), each over channels.

    The unit is var_T and a hundredth of its mean over the layer, so that a channel that hardly moved in training does not
    outvote the others. Unlike `bn_mismatch`, which grows with the size of a teacher's activations and with its depth, this is
    the same for teachers that compute the same function: a convolution scaled together with its BatchNorm's statistics
    changes neither.
    """
    mean_t, var_t = ([layer.get_buffer(name) for layer, _ in layers] for name in ("running_mean", "running_var"))
    mean, var = zip(*(batch_moments(x) for _, x in layers), strict=True)
    unit = [known + 0.01 * known.mean() + 1e-12 for known in var_t]
    shift = torch._foreach_div(torch._foreach_sub(mean, mean_t), torch._foreach_sqrt(unit))
    spread = torch._foreach_div(torch._foreach_sub(var, var_t), unit)
    roots = [math.sqrt(len(x)) for x in (*shift, *spread)]
    return torch.stack(torch._foreach_div(torch._foreach_norm([*shift, *spread]), roots)).sum() / len(layers)


def total_variation(images: Tensor) -> Tensor:
    """L2 norms of the steps to the four neighbours (down, across, both diagonals) over the whole batch, added.

    As in DeepInversion's code, whose weight for it is made for such a sum; their pixels are normalised, ours in 0..1.
    """
    down, across = images.diff(dim=2), images.diff(dim=3)
    falling, rising = images[:, :, 1:, 1:] - images[:, :, :-1, :-1], images[:, :, 1:, :-1] - images[:, :, :-1, 1:]
    # The epsilon keeps the root's gradient finite on a plain image.
    return torch.stack([(step.square().sum() + 1e-12).sqrt() for step in (down, across, falling, rising)]).sum()


def activation(feature: Tensor) -> Tensor:
    """Mean absolute activation of the last feature [B, D]; real images excite it, so makers maximise it (DAFL, eq. 4)."""
    return feature.abs().mean()
