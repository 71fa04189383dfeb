"""Is a teacher whole? Its weights, what its BatchNorm layers remember, and whether an image moves its answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from akd.errors import brief
from akd.networks.classifier import Classifier, probabilities
from akd.networks.taps import BATCH_NORM, batch_norms, never_trained
from akd.runtime import Rng
from akd.synthesis.pictures import pictures

CONSTANT = 1e-3  # deviation of a channel behind its BatchNorm; a real ResNet-56's stillest has 4e-3, its median 0.3
PROBE = 64
SAME = 1e-5  # of the logits' size: an answer that moves less over all probes does not depend on the image


@dataclass(frozen=True)
class BatchNorms:
    """The BatchNorm layers that keep statistics: `layers` of them with `channels` in all, from `first` to `last` by name.

    constant: channels that give next to the same value whatever the image (variance or scale near zero). By name:
    broken: statistics that are no numbers, or variances below zero; never_trained: still at mean 0 and variance 1;
    forgetful: layers that keep no statistics and so judge an image by its neighbours in the batch.
    """

    layers: int
    channels: int
    first: str | None
    last: str | None
    constant: int
    broken: tuple[str, ...]
    never_trained: tuple[str, ...]
    forgetful: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Methods can hold images against them."""
        return self.layers > 0 and not self.broken and len(self.never_trained) < self.layers

    @property
    def mostly_dead(self) -> bool:
        return 2 * self.constant > self.channels


@dataclass(frozen=True)
class Answers:
    """How the teacher answers `images` formula pictures and noises: `classes` different ones.

    trouble: what makes it unfit to be imitated or searched with, '' where nothing does.
    """

    images: int
    classes: int
    trouble: str


def broken_weights(teacher: Classifier) -> tuple[str, ...]:
    """Names of the parameters and buffers that hold NaN or infinity."""
    tensors = teacher.net.state_dict().items()
    return tuple(name for name, tensor in tensors if tensor.is_floating_point() and not bool(tensor.isfinite().all()))


def look_at_batch_norms(teacher: Classifier) -> BatchNorms:
    keeping = set(batch_norms(teacher.net))
    named = {name: layer for name, layer in teacher.net.named_modules() if layer in keeping}
    names = [*named]
    return BatchNorms(
        layers=len(named),
        channels=sum(layer.get_buffer("running_mean").numel() for layer in named.values()),
        first=names[0] if names else None,
        last=names[-1] if names else None,
        constant=sum(_constant(layer) for layer in named.values()),
        broken=tuple(name for name, layer in named.items() if _broken(layer)),
        never_trained=tuple(name for name, layer in named.items() if never_trained(layer)),
        forgetful=tuple(
            name for name, layer in teacher.net.named_modules() if isinstance(layer, BATCH_NORM) and layer not in keeping
        ),
    )


def _broken(layer: nn.Module) -> bool:
    mean, var = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
    return not bool(mean.isfinite().all() and var.isfinite().all() and (var >= 0).all())


def _constant(layer: nn.Module) -> int:
    assert isinstance(layer, BATCH_NORM)
    var = layer.get_buffer("running_var")
    scale = layer.weight if layer.affine else torch.ones_like(var)
    return int((scale.abs() * (var / (var + layer.eps)).sqrt() < CONSTANT).sum())


def ask(teacher: Classifier) -> Answers:
    """Show the teacher pictures and noise, and follow the gradient of its answer back to the image."""
    with Rng(0).here():
        drawn = pictures(PROBE // 2, teacher.card)
        images = torch.cat([drawn, torch.rand(PROBE - len(drawn), *teacher.card.input_size)]).to(teacher.mean)
    with torch.no_grad():
        logits = torch.cat([teacher(batch).float() for batch in images.split(16)])
    classes = len(logits.argmax(1).unique())
    if not bool(logits.isfinite().all()):
        return Answers(PROBE, classes, "its answer is no number")
    if probabilities(logits):
        return Answers(PROBE, classes, "its answers are probabilities, not logits (leave its last softmax out)")
    if (logits.amax(0) - logits.amin(0)).max() <= SAME * logits.abs().max().clamp(min=1e-30):
        return Answers(PROBE, classes, "its answer is the same whatever the image")
    return Answers(PROBE, classes, _lost_gradient(teacher, images[:4]))


def _lost_gradient(teacher: Classifier, images: torch.Tensor) -> str:
    images = images.clone().requires_grad_()
    try:
        logits = teacher(images)
        if not logits.requires_grad:
            return "no gradient flows from its answer to the image (no_grad or detach in its forward pass)"
        (gradient,) = torch.autograd.grad(logits.float().square().sum(), images)
    except RuntimeError as error:
        return f"no gradient can be taken of its answer ({brief(error, 80)})"
    if not bool(gradient.isfinite().all()):
        return "the gradient of its answer is no number"
    if not bool(gradient.any()):
        return "the gradient of its answer to the image is zero everywhere (rounding in its forward pass?)"
    return ""
