"""What methods want of a batch: terms over what was seen, for their tables of losses. Each is a scalar to be weighed."""

from __future__ import annotations

from torch import Tensor

from akd.objectives import features, images, logits
from akd.objectives.terms import Schedule, Seen, Term

BN, FEATURE, STAGES = frozenset({"bn"}), frozenset({"feature"}), frozenset({"stages"})


def discrepancy(weight: Schedule) -> Term:
    """L1 between the logits: the student minimises it, the maker (negative weight) maximises it."""
    return Term(weight, lambda seen: logits.l1(seen.student.logits, seen.teacher.logits))


def divergence(weight: Schedule, temperature: float = 1.0) -> Term:
    """KL(teacher || student) at a temperature."""
    return Term(weight, lambda seen: logits.kl(seen.student.logits, seen.teacher.logits, temperature))


def disagreement(weight: Schedule) -> Term:
    """KL(teacher || student) where both still choose the same class."""
    return Term(weight, lambda seen: logits.masked_disagreement(seen.student.logits, seen.teacher.logits))


def competition(weight: Schedule) -> Term:
    """1 - JS(teacher, student): low where the student is wrong (Adaptive DeepInversion)."""
    return Term(weight, lambda seen: 1 - logits.js(seen.student.logits, seen.teacher.logits))


def statistics(weight: Schedule) -> Term:
    """Distance of the batch from the teacher's BatchNorm statistics."""
    return Term(weight, lambda seen: images.bn_mismatch(seen.teacher.bn), BN)


def confident(weight: Schedule) -> Term:
    """The teacher is sure of some class."""
    return Term(weight, lambda seen: logits.confidence(seen.teacher.logits))


def asked(weight: Schedule) -> Term:
    """The teacher sees the class that was asked for."""

    def loss(seen: Seen) -> Tensor:
        assert seen.labels is not None
        return logits.asked_class(seen.teacher.logits, seen.labels)

    return Term(weight, loss)


def balanced(weight: Schedule) -> Term:
    """All classes alike in the batch."""
    return Term(weight, lambda seen: logits.imbalance(seen.teacher.logits))


def excited(weight: Schedule) -> Term:
    """The teacher's last feature is active."""

    def loss(seen: Seen) -> Tensor:
        assert seen.teacher.feature is not None
        return -images.activation(seen.teacher.feature)

    return Term(weight, loss, FEATURE)


def smooth(weight: Schedule) -> Term:
    """Little total variation."""
    return Term(weight, lambda seen: images.total_variation(seen.images))


def attention(weight: Schedule) -> Term:
    """The student looks where the teacher looks, stage by stage."""
    return Term(weight, lambda seen: features.attention_distance(seen.student.stages, seen.teacher.stages), STAGES)
