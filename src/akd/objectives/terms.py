"""How losses are named, weighed and added: a method is a table of these.

A term reads what was seen (`Seen`) and returns a scalar. Weights may follow a schedule over the run's progress. A term
whose weight is zero throughout is never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import overload

import torch
from torch import Tensor, nn

from akd.networks.taps import Sight

Schedule = float | tuple[tuple[float, float], ...]
"""A constant, or points (progress 0..1, value) joined by straight lines and held flat outside."""


Progress = float | Tensor
"""How much of the run is over, 0..1; where steps are replayed on a GPU, a tensor [] in float64 there."""


def points(schedule: Schedule) -> tuple[tuple[float, float], ...]:
    """The schedule as points (progress, value), a constant as one."""
    return ((0.0, float(schedule)),) if isinstance(schedule, (int, float)) else schedule


@overload
def at(schedule: Schedule, progress: float) -> float: ...
@overload
def at(schedule: Schedule, progress: Progress) -> float | Tensor: ...
def at(schedule: Schedule, progress: Progress) -> float | Tensor:
    """The schedule's value at `progress` (0 at the start of the run, 1 at its end); a tensor [] where that is one."""
    if isinstance(schedule, (int, float)):
        return float(schedule)
    if isinstance(progress, Tensor):
        return _at_on_device(schedule, progress)
    before = schedule[0]
    for point in schedule:
        if progress < point[0]:
            share = (progress - before[0]) / (point[0] - before[0]) if point[0] > before[0] else 1.0
            return before[1] + max(share, 0.0) * (point[1] - before[1])
        before = point
    return before[1]


@cache  # for good: a captured step reads them where they lie
def _course(schedule: tuple[tuple[float, float], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """When [P] and what [P], from before the run to after it."""
    course = (-1.0, schedule[0][1]), *schedule, (2.0, schedule[-1][1])
    when, what = torch.tensor(course, dtype=torch.float64, device=device).T.contiguous()
    return when, what


def _at_on_device(schedule: tuple[tuple[float, float], ...], progress: Tensor) -> Tensor:
    when, what = _course(schedule, progress.device)
    after = torch.searchsorted(when, progress.view(1), right=True)
    before = after - 1
    share = (progress - when[before]) / (when[after] - when[before])
    return (what[before] + share * (what[after] - what[before])).float()[0]


def times(schedule: Schedule, factor: Schedule) -> Schedule:
    """The product of two schedules, exact at the points of both."""
    if isinstance(schedule, (int, float)) and isinstance(factor, (int, float)):
        return schedule * factor
    # A jump is two values at one point: kept by asking just before it as well.
    given = [when for s in (schedule, factor) for when, _ in points(s)]
    moments = sorted({max(0.0, when) for point in given for when in (point - 1e-9, point)})
    return tuple((when, at(schedule, when) * at(factor, when)) for when in moments)


def never(schedule: Schedule) -> bool:
    """True where the weight is zero from start to end."""
    return not any(value for _, value in points(schedule))


@dataclass(frozen=True)
class Around:
    """What a term may ask for beyond the batch itself.

    teacher, student: images [B, C, H, W] -> Sight, tapped like the batch; the student in eval mode; gradients are open.
    replay: how many -> images [count, C, H, W] from the bank; None where it holds none.
    modules: what trains along with the maker or the student (heads, adapters), by name.
    """

    teacher: Callable[[Tensor], Sight]
    student: Callable[[Tensor], Sight]
    replay: Callable[[int], Tensor | None]
    modules: Mapping[str, nn.Module]


@dataclass(frozen=True)
class Seen:
    """One batch as both networks saw it.

    images: [B, C, H, W] in 0..1; labels: [B], the class asked of the maker (zeros where none was asked);
    teacher, student: what each said and, where a term needs it, what it computed on the way;
    around: what else a term may look at; progress: how much of the run is over.
    """

    images: Tensor
    labels: Tensor
    teacher: Sight
    student: Sight
    around: Around
    progress: Progress = 0.0


@dataclass(frozen=True)
class Term:
    """`weight` times `loss(seen)`, a scalar to be minimised; a negative weight maximises.

    `needs` names what the networks it reads must be tapped for beyond their logits (see `akd.networks.taps.Sight`).
    `reads_student` False: the loss never looks at `seen.student`, so where no term does the student need not run;
    `reads_teacher` False: nor at `seen.teacher`. `looks`: how many more times it has the teacher look at each image,
    forward and backward; `replays`: it draws from the bank.
    """

    weight: Schedule
    loss: Callable[[Seen], Tensor]
    needs: frozenset[str] = frozenset()
    reads_student: bool = True
    reads_teacher: bool = True
    looks: int = 0
    replays: bool = False


Terms = Mapping[str, Term]


def wanted(terms: Terms) -> dict[str, Term]:
    """The terms that can ever count."""
    return {name: term for name, term in terms.items() if not never(term.weight)}


def needs_of_teacher(terms: Terms) -> frozenset[str]:
    """What the teacher is tapped for."""
    return frozenset().union(*(term.needs for term in wanted(terms).values() if term.reads_teacher))


def needs_of_student(terms: Terms) -> frozenset[str]:
    """What the student is tapped for; its BatchNorm statistics tell nothing of images."""
    return frozenset().union(*(term.needs for term in wanted(terms).values() if term.reads_student)) - {"bn"}


def total(terms: Terms, seen: Seen) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum [] and each term's own unweighted value, detached, for the record."""
    weights = {name: at(term.weight, seen.progress) for name, term in terms.items()}
    # Of a weight that lies on the device nobody here knows whether it is zero.
    counting = {name: weight for name, weight in weights.items() if isinstance(weight, Tensor) or weight}
    values = {name: (weight, terms[name].loss(seen)) for name, weight in counting.items()}
    loss = torch.stack([weight * value for weight, value in values.values()]).sum() if values else seen.images.sum() * 0
    return loss, {name: value.detach() for name, (_, value) in values.items()}
