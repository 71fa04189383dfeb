"""Several teachers as one: unlike architectures, each with its own normalisation, or specialists for disjoint classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from akd.errors import ModelError
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model

COMBINE = ("mean", "confidence")


class Ensemble(Classifier):
    """images [B, C, H, W] in 0..1 -> the log of the members' weighted mean prediction [B, K].

    combine: "mean" weighs all members alike; "confidence" by 1 - entropy / log(classes) of each member's prediction for the
    image. classes: for each member the joint class of each of its own, or None where it knows all of them in order. Terms that
    read BatchNorm read every member's; terms that read feature maps or the last feature read the last member's.
    """

    def __init__(self, members: Sequence[Classifier], classes: Sequence[Sequence[int] | None], combine: str = "mean"):
        if len(members) != len(classes):
            raise ModelError(f"{len(members)} teachers and {len(classes)} lists of classes; give each teacher one, or None")
        whole = [range(m.card.num_classes) if known is None else known for m, known in zip(members, classes, strict=True)]
        super().__init__(nn.ModuleList(members), _joint_card(members, whole, told=any(known is not None for known in classes)))
        if combine not in COMBINE:
            raise ModelError(f"unknown way to combine teachers {combine!r}; use {' or '.join(COMBINE)}")
        self.by_confidence = combine == "confidence"
        joint = list(range(self.card.num_classes))
        for i, known in enumerate(whole):  # buffers: indices of the host would be copied to the device at each call
            index = None if list(known) == joint else torch.tensor(known)
            self.register_buffer(f"classes_{i}", index, persistent=False)

    @property
    def inside(self) -> nn.Module:
        return list(self.net.children())[-1]

    def forward(self, images: Tensor) -> Tensor:
        assert isinstance(self.net, nn.ModuleList)
        answers, weights = [], []
        for i, member in enumerate(self.net):
            log_p = member(images).float().log_softmax(1)
            doubt = -(log_p.exp() * log_p).sum(1) / math.log(log_p.shape[1])
            weights.append(1 - doubt if self.by_confidence else torch.ones_like(doubt))
            if (known := self._buffers[f"classes_{i}"]) is not None:
                spread = log_p.new_full((len(log_p), self.card.num_classes), -math.inf)
                log_p = spread.index_copy(1, known, log_p)
            answers.append(log_p)
        # A floor, so that where no member knows anything all count alike instead of none.
        share = torch.stack(weights).clamp_min(1e-4)
        return torch.logsumexp(torch.stack(answers) + (share / share.sum(0)).log()[:, :, None], 0)


def _joint_card(members: Sequence[Classifier], classes: Sequence[Sequence[int]], told: bool) -> ModelCard:
    """What the ensemble is to others; the student takes the first member's normalisation."""
    first = members[0].card
    if any(m.card.input_size != first.input_size for m in members):
        sizes = ", ".join(str(m.card.input_size) for m in members)
        raise ModelError(f"the teachers of an ensemble must take images of one size, not {sizes}; distil them one by one")
    most = max(m.card.num_classes for m in members)
    if not told and any(m.card.num_classes != most for m in members):
        raise ModelError("the teachers know different numbers of classes; give `classes`, the joint class of each of their own")
    for member, known in zip(members, classes, strict=True):
        if len(set(known)) != member.card.num_classes or min(known) < 0:
            wrong = f"{member.card.architecture} tells {member.card.num_classes} classes apart and is given {len(set(known))}"
            raise ModelError(f"{wrong}; give `classes`, the joint class of each of its own, once each")
    total = max(max(known) for known in classes) + 1
    if missing := set(range(total)) - {c for known in classes for c in known}:
        raise ModelError(f"no teacher knows class {min(missing)} of {total}; number the joint classes from 0 without gaps")
    names: list[str | None] = [None] * total
    for member, known in zip(members, classes, strict=True):
        for name, c in zip(member.card.label_names or [None] * len(known), known, strict=True):
            if name and names[c] not in (None, name):
                both = f"{names[c]!r} to one teacher and {name!r} to another"
                raise ModelError(f"class {c} is {both}; give `classes`, the joint class of each of their own")
            names[c] = names[c] or name
    architecture = "+".join(m.card.architecture for m in members)
    label_names = tuple(str(name) for name in names) if all(names) else None
    return replace(first, architecture=architecture, arguments={}, num_classes=total, label_names=label_names)


def load_named(named: Mapping[str, Any]) -> Classifier:
    """The frozen teacher that a run names: one, as arguments of `load_model`, or {"members": [...], "combine": ...}."""
    if "members" not in named:
        return load_model(**named)
    members = [{name: value for name, value in member.items() if name != "classes"} for member in named["members"]]
    classes = [member.get("classes") for member in named["members"]]
    loaded = [load_model(**member) for member in members]
    return Ensemble(loaded, classes, named.get("combine", "mean")).freeze()
