"""scikit-learn's handwritten digits: real data that every installation has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

HELD_OUT = 450


@dataclass(frozen=True, eq=False)
class Digits:
    """Images uint8 [N, 1, 8, 8] and labels int64 [N]; `mean` and `std` of the training part's pixels in 0..1."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: tuple[float]
    std: tuple[float]
    label_names: tuple[str, ...] = tuple("0123456789")


def digits_split(seed: int = 0) -> Digits:
    """1,347 digits to train on and 450 held out, each class in proportion (Alpaydin & Kaynak 1998, by scikit-learn).

    The test set called `digits` is the split of seed 0. A run's own seed must never come here: the held-out digits of
    one seed are training digits of another.
    """
    from sklearn.datasets import load_digits  # A second of import that only the digits are worth.
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    parts = train_test_split(images, labels.astype(np.int64), test_size=HELD_OUT, stratify=labels, random_state=seed)
    train = parts[0] / 255
    return Digits(
        train_images=torch.from_numpy(parts[0]),
        train_labels=torch.from_numpy(parts[2]),
        test_images=torch.from_numpy(parts[1]),
        test_labels=torch.from_numpy(parts[3]),
        mean=(float(train.mean()),),
        std=(float(train.std()),),
    )
