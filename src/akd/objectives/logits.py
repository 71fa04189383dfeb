"""How far apart two networks' answers are: pure functions of logits [B, K] that return a scalar []."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def kl(student: Tensor, teacher: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
    """T^2 * KL(softmax(teacher/T) || softmax(student/T)), mean over the batch, in nats (Hinton et al., 1503.02531)."""
    log_s, log_t = F.log_softmax(student / temperature, 1), F.log_softmax(teacher / temperature, 1)
    return temperature**2 * (log_t.exp() * (log_t - log_s)).sum(1).mean()


def l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of the logits, over batch and classes (DFAD, eq. 3)."""
    return (student - teacher).abs().mean()


def masked_disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over the batch of KL(teacher || student) in nats, counted only where both still choose the same class.

    Makers maximise it: where the two already differ there is nothing to find (CMI, FastDFKD, NAYER: the `adv` loss).
    """
    log_s, log_t = F.log_softmax(student, 1), F.log_softmax(teacher, 1)
    same = (student.argmax(1) == teacher.argmax(1)).to(log_s.dtype)
    return ((log_t.exp() * (log_t - log_s)).sum(1) * same).mean()


def confidence(logits: Tensor) -> Tensor:
    """Cross-entropy against the network's own most likely class, in nats (DAFL, eq. 2, `one-hot`); makers minimise it."""
    return F.cross_entropy(logits, logits.argmax(1))


def asked_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy against the class [B] that was asked for, in nats; makers minimise it."""
    return F.cross_entropy(logits, labels)


def imbalance(logits: Tensor) -> Tensor:
    """Negative entropy of the batch-mean prediction, in nats (DAFL, eq. 5); makers minimise it: -log K is balanced."""
    return -_entropy(logits.softmax(1).mean(0))


def most_like(logits: Tensor) -> Tensor:
    """For each image [B] the class whose logit is furthest, in deviations over the batch, above its mean over the batch.

    A teacher sees the same few classes in most images that are not of its world; here a class that it leans to counts no
    more than others: what is added to all logits of a class, or of an image, changes nothing. Few images tell little apart, and
    two nothing.
    """
    said = logits - logits.mean(1, keepdim=True)
    return ((said - said.mean(0)) / said.std(0).clamp_min(1e-6)).argmax(1)


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Share of the batch, in percent, for which both choose the same class."""
    return 100.0 * (student.argmax(1) == teacher.argmax(1)).float().mean()


def js(student: Tensor, teacher: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
    """Jensen-Shannon divergence of the two softened answers, in nats, 0 to log 2, mean over the batch (ADI, eq. 8)."""
    p, q = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    mid = torch.log(((p + q) / 2).clamp_min(1e-12))
    log_p, log_q = p.clamp_min(1e-12).log(), q.clamp_min(1e-12).log()
    return 0.5 * ((p * (log_p - mid)).sum(1) + (q * (log_q - mid)).sum(1)).mean()


def spread(logits: Tensor, parts: int) -> Tensor:
    """Jensen-Shannon divergence of the mean predictions of `parts` equal parts of the batch, in nats, 0 to log `parts`.

    High where each part covers classes of its own; makers with a generator for each part maximise it.
    """
    means = torch.stack([part.softmax(1).mean(0) for part in logits.tensor_split(parts) if len(part)])
    return _entropy(means.mean(0)) - _entropy(means).mean()


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp_min(1e-12).log()).sum(-1)
