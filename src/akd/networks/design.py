"""A student to a budget: networks from wide and shallow to thin and deep, of one size, and which of them to take."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from akd.errors import ConfigError
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.measure import latency, macs, parameters
from akd.networks.zoo import build

TOLERANCE = 0.01
WIDEST = 2048  # channels; bounds what an absurd budget makes a machine build
TINY = 16  # pixels, below which a plain net of three layers sees the whole image
SMALL = 64  # pixels, up to which the stem keeps every pixel
THIN = 16  # channels in the first stage, below which a plain net learns as much as a residual one
EXAMPLES = "give e.g. 10%, 2.1M or 850k (parameters), or 100MMACs"


@dataclass(frozen=True)
class Budget:
    """`value` is a share of the teacher's parameters in 0..1 (kind "ratio") or a count ("parameters", "macs")."""

    kind: str
    value: float


@dataclass(frozen=True)
class Candidate:
    """A student that fits: what `build` takes, and what it costs.

    `macs` are for one image, `ratio` is the share of the teacher's parameters, `latency_ms` the median for one image on
    this CPU, `depth` the layers with weights on the main path, `width` the channels by stage ("16-32-64").
    """

    architecture: str
    arguments: dict[str, Any]
    params: int
    macs: int
    ratio: float
    latency_ms: float
    depth: int
    width: str


@dataclass(frozen=True)
class Design:
    """`target` counts what `kind` says, "parameters" or "macs"; `candidates` go from shallow to deep."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    why: str
    target: int
    kind: str


def parse_budget(text: str) -> Budget:
    """Reads "10%" of the teacher, "12345", "850k" or "2.1M" parameters, "1.2GMACs"; any case, spaces allowed.

    Raises ConfigError for anything else, for nothing, and for 100 % or more.
    """
    text = str(text).strip()
    found = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(%|[kmg]?\s*macs?|[km]?)", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise ConfigError(f"budget {text!r} is not understood; {EXAMPLES}")
    number, unit = float(found[1]), found[2].lower()
    if unit == "%":
        if not 0 < number < 100:
            raise ConfigError(f"budget {text!r} is not above 0 % and below 100 % of the teacher; {EXAMPLES}")
        return Budget("ratio", number / 100)
    prefix = re.sub(r"\s*macs?$", "", unit)
    value = number * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[prefix]
    if not 1 <= value < math.inf:
        raise ConfigError(f"budget {text!r} is no number of parameters or MACs; {EXAMPLES}")
    return Budget("parameters" if unit == prefix else "macs", value)


def design_student(teacher: Classifier, budget: str) -> Design:
    """Students within 1 % of `budget` (see `parse_budget`) for the teacher's classes and images, and the one to take.

    The choice follows from the teacher's sizes and the budget alone, not from the machine's speed or random state.
    Raises ConfigError where the budget is no less than the teacher, and, naming the nearest that can be met, where no
    network fits.
    """
    wanted, own, card = parse_budget(budget), parameters(teacher), teacher.card
    kind = "macs" if wanted.kind == "macs" else "parameters"
    exact = wanted.value * own if wanted.kind == "ratio" else wanted.value
    target = round(exact)
    if not own:
        raise ConfigError("the teacher shows no parameters to compare with; load its weights with --arch")
    size, unit = (macs(teacher, card.input_size), "MACs") if kind == "macs" else (own, "")
    if target >= size:
        raise ConfigError(f"a student of {target:,} {unit or kind} is no smaller than the teacher with {size:,}; {EXAMPLES}")
    found, nearest = [], []
    with torch.random.fork_rng(devices=[]):
        for family in _families(card.input_size):
            cost = _learn(partial(family.cost, kind, card), len(family.growth))
            widths = _fit(cost, family.growth, target)
            nearest.append(int(cost(widths)))
            if abs(nearest[-1] - exact) <= TOLERANCE * exact and nearest[-1] < size:
                found.append(family.candidate(widths, card, own))
    if not found:
        best = min([cost for cost in nearest if cost < size] or nearest, key=lambda cost: abs(cost - target))
        raise ConfigError(
            f"no student with {card.num_classes} classes has {target} {unit or kind}, the "
            f"{'smallest' if target < min(nearest) else 'nearest'} has {best}; "
            + (f"give e.g. --budget {best}{unit}" if best < size else f"the teacher itself has but {size}: it is small already")
        )
    chosen, why = choose(found, card.input_size)
    return Design(chosen, tuple(found), why, target, kind)


def choose(candidates: Sequence[Candidate], input_size: tuple[int, int, int]) -> tuple[Candidate, str]:
    """The student to take, and the reason in one sentence.

    Moderately wide, moderately deep: in the published CIFAR-100 tables a WRN-16-2 (two blocks and 32 channels first) is
    ahead of a WRN-40-1 (six and 16) or level with it. Where that leaves less than 16 channels, plain nets learn as much
    for fewer MACs (docs/lab.md, 4).
    """
    plain = next((c for c in candidates if c.architecture == "digitsnet"), None)
    residual = [c for c in candidates if c is not plain]
    stages = 3 if _small(input_size) else 4
    usual = [c for c in residual if len(c.arguments["depths"]) == stages] or residual
    wide = [c for c in usual if c.arguments["depths"][0] <= 2 and c.arguments["widths"][0] >= THIN]
    if plain and max(input_size[1:]) < TINY:
        return plain, f"a plain net, {plain.width}, learns best on images below {TINY} pixels"
    if wide:
        best = max(wide, key=lambda c: c.depth)
        return best, (
            f"{best.width} is the deepest of at most 2 blocks a stage that keeps {THIN} channels or more in its first; "
            "thinner and deeper ones come out level or behind in published tables"
        )
    best = plain or max(usual, key=lambda c: c.arguments["widths"][0])
    kind = "a plain net" if plain else "the widest"
    return best, f"{best.width} is {kind}, as no usual residual net keeps {THIN} channels in its first stage here"


def build_student(candidate: Candidate, card: ModelCard) -> Classifier:
    """A fresh student for the classes, images and normalisation of the teacher's `card`; initialised by torch's RNG."""
    net = build(candidate.architecture, card.num_classes, card.input_size, **candidate.arguments)
    return Classifier(net, replace(card, architecture=candidate.architecture, arguments=candidate.arguments))


@dataclass(frozen=True)
class _Family:
    """Networks that differ in their stages' widths alone; by nature these are in proportion `growth`."""

    architecture: str
    growth: tuple[int, ...]
    depth: int
    arguments: dict[str, Any]

    def net(self, widths: list[int], card: ModelCard) -> nn.Module:
        return build(self.architecture, card.num_classes, card.input_size, **self.arguments, widths=widths)

    def cost(self, kind: str, card: ModelCard, widths: list[int]) -> int:
        net = self.net(widths, card)
        return macs(net, card.input_size) if kind == "macs" else parameters(net)

    def candidate(self, widths: list[int], card: ModelCard, teacher_parameters: int) -> Candidate:
        net = self.net(widths, card)
        return Candidate(
            architecture=self.architecture,
            arguments={**self.arguments, "widths": widths},
            params=parameters(net),
            macs=macs(net, card.input_size),
            ratio=parameters(net) / teacher_parameters,
            latency_ms=latency(net, card.input_size, repeats=20),
            depth=self.depth,
            width="-".join(map(str, widths)),
        )


def _small(input_size: tuple[int, int, int]) -> bool:
    return max(input_size[1:]) <= SMALL


def _families(input_size: tuple[int, int, int]) -> list[_Family]:
    """From shallow to deep."""
    stem = "cifar" if _small(input_size) else "imagenet"
    shapes = [(1, 1, 1), (1, 1, 1, 1), (2, 2, 2), (2, 2, 2, 2), (3, 3, 3), (3, 3, 3, 3), (5, 5, 5)]
    residual = [
        _Family(
            "resnet",
            growth=(1, 2, 4, 8)[: len(depths)],
            depth=2 * sum(depths) + 2,
            arguments={"stem": stem, "depths": list(depths)},
        )
        for depths in shapes
    ]
    growth = (1, 2, 4) if max(input_size[1:]) < TINY else (1, 2, 4, 4, 4)
    plain = _Family("digitsnet", growth, depth=len(growth) + 1, arguments={})
    return [plain, *residual] if _small(input_size) else residual


Cost = Callable[[NDArray[Any] | Sequence[int]], Any]


def _learn(cost: Callable[[list[int]], int], stages: int) -> Cost:
    """`cost` of stages' widths as a formula, also for many at once, [..., stages] -> [...].

    Every layer joins two widths at most, so parameters and MACs are quadratic in them, and a few small networks tell
    the whole formula by exact differences.
    """
    base, steps = np.full(stages, 8), np.eye(stages, dtype=int)
    origin = cost(base.tolist())
    once = np.array([cost((base + step).tolist()) for step in steps])
    twice = np.zeros((stages, stages))
    for i, j in itertools.combinations_with_replacement(range(stages), 2):
        both = cost((base + steps[i] + steps[j]).tolist())
        twice[i, j] = twice[j, i] = both - once[i] - once[j] + origin
    slope = once - origin - np.diag(twice) / 2

    def formula(widths: NDArray[Any] | Sequence[int]) -> Any:
        change = np.asarray(widths) - base
        return origin + change @ slope + ((change @ twice) * change).sum(-1) / 2

    return formula


def _fit(cost: Cost, growth: Sequence[int], target: int) -> list[int]:
    """Widths within tolerance of `target`, in multiples of 8 where possible, else 4, 2, 1; else those nearest to it."""
    low, high = 0.0, WIDEST / growth[-1]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle * np.array(growth)) < target else (low, middle)
    ideal = low * np.array(growth)
    for step in (8, 4, 2, 1):
        # Twelve choices for a stage; coarse ones may not bend its width by more than an eighth.
        first = np.maximum(np.round(ideal / step).astype(int) - 6, 1)
        choices = [step * (start + np.arange(12)) for start in first]
        if step > 1:
            choices = [c[abs(c - width) <= width / 8] for c, width in zip(choices, ideal, strict=True)]
        grid = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, len(growth))
        off = abs(cost(grid) - target)
        fits = grid[off <= TOLERANCE * target]
        if len(fits):
            # Rounded, so that a processor's last bit cannot decide between equals.
            bend = np.round(abs(np.log(fits / np.maximum(ideal, 0.5))).max(-1), 6)
            return [int(w) for w in fits[bend.argmin()]]
    return [int(w) for w in grid[off.argmin()]]
