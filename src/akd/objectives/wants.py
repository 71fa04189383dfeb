"""What methods want of a batch: terms over what was seen, for their tables of losses. Each is a scalar to be weighed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from akd.objectives import features, images, logits
from akd.objectives.terms import Schedule, Seen, Term, at

BN, FEATURE, STAGES, LAYERS = (frozenset({need}) for need in ("bn", "feature", "stages", "layers"))


def discrepancy(weight: Schedule) -> Term:
    """L1 between the logits: the student minimises it, the maker (negative weight) maximises it."""
    return Term(weight, lambda seen: logits.l1(seen.student.logits, seen.teacher.logits))


def divergence(weight: Schedule, temperature: Schedule = 1.0) -> Term:
    """KL(teacher || student) at a temperature."""
    return Term(weight, lambda seen: logits.kl(seen.student.logits, seen.teacher.logits, at(temperature, seen.progress)))


def disagreement(weight: Schedule) -> Term:
    """KL(teacher || student) where both still choose the same class."""
    return Term(weight, lambda seen: logits.masked_disagreement(seen.student.logits, seen.teacher.logits))


def competition(weight: Schedule, temperature: Schedule) -> Term:
    """1 - JS(teacher, student) at a temperature: low where the student is wrong (Adaptive DeepInversion)."""
    return Term(weight, lambda seen: 1 - logits.js(seen.student.logits, seen.teacher.logits, at(temperature, seen.progress)))


def statistics(weight: Schedule) -> Term:
    """Distance of the batch from the teacher's BatchNorm statistics."""
    return Term(weight, lambda seen: images.bn_mismatch(seen.teacher.bn), BN, reads_student=False)


def relative_statistics(weight: Schedule) -> Term:
    """Distance of the batch from the teacher's BatchNorm statistics, in the statistics' own units."""
    return Term(weight, lambda seen: images.relative_bn_mismatch(seen.teacher.bn), BN, reads_student=False)


def confident(weight: Schedule) -> Term:
    """The teacher is sure of some class."""
    return Term(weight, lambda seen: logits.confidence(seen.teacher.logits), reads_student=False)


def asked(weight: Schedule) -> Term:
    """The teacher sees the class that was asked for."""
    return Term(weight, lambda seen: logits.asked_class(seen.teacher.logits, seen.labels), reads_student=False)


def balanced(weight: Schedule) -> Term:
    """All classes alike in the batch."""
    return Term(weight, lambda seen: logits.imbalance(seen.teacher.logits), reads_student=False)


def excited(weight: Schedule) -> Term:
    """The teacher's last feature is active."""

    def loss(seen: Seen) -> Tensor:
        assert seen.teacher.feature is not None
        return -images.activation(seen.teacher.feature)

    return Term(weight, loss, FEATURE, reads_student=False)


def smooth(weight: Schedule) -> Term:
    """Little total variation."""
    return Term(weight, lambda seen: images.total_variation(seen.images), reads_student=False)


def attention(weight: Schedule) -> Term:
    """The student looks where the teacher looks, stage by stage."""
    return Term(weight, lambda seen: features.attention_distance(seen.student.stages, seen.teacher.stages), STAGES)


def class_activation(weight: Schedule) -> Term:
    """The student sees the teacher's class where the teacher sees it."""

    def loss(seen: Seen) -> Tensor:
        told = seen.teacher.logits.argmax(1)
        return features.map_distance(features.class_map(seen.student, told), features.class_map(seen.teacher, told))

    return Term(weight, loss, STAGES | FEATURE)


def told_apart(weight: Schedule, view: Callable[..., Tensor], temperature: float, negatives: int) -> Term:
    """By the critic `contrast`, an image is known again in another view among all others of its batch and of the bank."""

    def loss(seen: Seen) -> Tensor:
        project, replayed = seen.around.modules["contrast"], seen.around.replay(negatives)
        again = seen.around.teacher(view(seen.images, None))
        others = None
        if replayed is not None:
            with torch.no_grad():
                others = seen.around.teacher(replayed).feature
            others = project(others)
        return features.contrast(project(seen.teacher.feature), project(again.feature), others, temperature)

    return Term(weight, loss, FEATURE, reads_student=False, looks=1, replays=True)


def aligned(weight: Schedule, maps: str, module: str) -> Term:
    """The student's feature maps, through the adapters in `module`, like the teacher's; maps: "stages" or "layers"."""

    def loss(seen: Seen) -> Tensor:
        adapt: nn.Module = seen.around.modules[module]
        distance: Tensor = adapt(getattr(seen.student, maps), getattr(seen.teacher, maps))
        return distance

    return Term(weight, loss, frozenset({maps}))


def turned(weight: Schedule) -> Term:
    """The student's feature tells, by the head `turned`, by how many quarters an image was turned."""

    def loss(seen: Seen) -> Tensor:
        images, turns = features.turned(seen.images)
        head: nn.Module = seen.around.modules["turned"]
        return nn.functional.cross_entropy(head(seen.around.student(images).feature), turns)

    return Term(weight, loss, FEATURE, reads_teacher=False)


def apart(weight: Schedule, parts: int) -> Term:
    """The teacher sees other classes in each of `parts` equal parts of the batch: each part has its own generator."""
    return Term(weight, lambda seen: logits.spread(seen.teacher.logits, parts), reads_student=False)
