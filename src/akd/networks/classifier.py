"""A network together with what it needs to be used: classes, normalisation, input size. And its folder on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from akd.errors import ModelError


@dataclass(frozen=True)
class ModelCard:
    """What travels with the weights: `config.json` of a model folder, in timm's terms.

    `input_size` is (channels, height, width); `mean` and `std` are per channel, for pixels in 0..1.
    """

    architecture: str
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, int, int]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    label_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "std", "input_size", "label_names"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        channels = self.input_size[0] if len(self.input_size) == 3 else 0
        if channels < 1 or min(self.input_size) < 1:
            raise ModelError(f"input_size {self.input_size} is not (channels, height, width); give e.g. --input-size 3,32,32")
        if len(self.mean) != channels or len(self.std) != channels:
            raise ModelError(
                f"mean {self.mean} and std {self.std} must have one value for each of {channels} channels; "
                "give --mean and --std anew"
            )
        if not all(s > 0 for s in self.std) or not all(m == m and abs(m) < 1e6 for m in self.mean):
            raise ModelError(f"std {self.std} must be positive and mean {self.mean} finite; give --mean and --std anew")
        if self.num_classes < 2:
            raise ModelError(f"a classifier has two classes or more, not {self.num_classes}; check --num-classes")
        if self.label_names is not None and len(self.label_names) != self.num_classes:
            raise ModelError(
                f"{len(self.label_names)} label names for {self.num_classes} classes; give one for each by --labels"
            )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def distinct(names: Sequence[str]) -> list[str]:
    """Class names that can be keys: ImageNet has two classes called `crane`, so a name that comes again gets its number."""
    return [f"{name} ({i})" if name in names[:i] else name for i, name in enumerate(names)]


class Classifier(nn.Module):
    """images [B, C, H, W] in 0..1 -> logits [B, K]. Normalisation is inside, so nobody can forget it."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, card: ModelCard):
        super().__init__()
        self.net = net
        self.card = card
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images - self.mean) / self.std)

    @property
    def inside(self) -> nn.Module:
        """The network whose feature maps, convolutions and last linear layer are meant where somebody looks inside."""
        return self

    def freeze(self) -> Classifier:
        """Eval mode, no parameter trains: what a teacher is. Returns itself."""
        return self.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> Classifier:
        """The frozen classifier in the model or run folder `source`, or of the Hugging Face repository "owner/repo[@rev]".

        Raises ModelError. What a folder does not tell itself can be told to `akd.load_teacher`.
        """
        from akd.networks.models import load_model  # it is built on this module

        name = str(source)
        return load_model(name if os.path.exists(name) or ":" in name else f"hf-hub:{name}")


def probabilities(answers: Tensor) -> bool:
    """Whether what should be logits [B, K] are shares of 1, from a network that ends in a softmax."""
    return bool((answers >= 0).all()) and torch.allclose(answers.sum(1), answers.new_ones(len(answers)), atol=1e-4)
