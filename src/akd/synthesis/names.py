"""Class names as vectors, with nothing but the names themselves."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from akd.networks.classifier import distinct


def name_vectors(label_names: tuple[str, ...] | None, num_classes: int, width: int = 128) -> Tensor:
    """[num_classes, width], rows of length one; names that share letters lie closer together.

    Each name is the sum of fixed random directions of its letter triples. Without names every class has a random direction
    of its own. The same names give the same vectors everywhere.
    """
    names = distinct([name.lower() for name in label_names]) if label_names else tuple(f"\0{i}" for i in range(num_classes))
    rows = []
    for name in names:
        padded = f"^{name}$"
        triples = [padded[i : i + 3] for i in range(max(1, len(padded) - 2))] if label_names else [padded]
        rows.append(torch.stack([_direction(triple, width) for triple in triples]).sum(0))
    return torch.nn.functional.normalize(torch.stack(rows))


def _direction(text: str, width: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(zlib.crc32(text.encode())))
