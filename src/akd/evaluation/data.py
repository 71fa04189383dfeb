"""Test sets: what people have on disk, as one record whose images and labels fit the model they are to judge."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from akd.errors import DataError, shortened
from akd.evaluation.cifar import cifar_folder, read_cifar
from akd.evaluation.digits import digits_split
from akd.evaluation.readers import Integers, Raw, read_image_folder, read_npz, read_parquet, refusing
from akd.files import near
from akd.networks.classifier import ModelCard

FORMS = (
    "a .parquet file, a folder with test-*.parquet, cifar-100-python or cifar-10-batches-py, "
    "a folder with one folder of images per class, an .npz, or digits"
)


@dataclass(frozen=True, eq=False)
class TestSet:
    """Images uint8 [N, C, H, W], labels int64 [N] in the model's order of classes; `name` says where they are from.

    doubt: what makes it uncertain that the labels mean the model's classes, '' where nothing does.
    """

    __test__: ClassVar[bool] = False  # The name alone makes pytest take it for a test case.

    images: Tensor
    labels: Tensor
    label_names: tuple[str, ...] | None
    name: str
    doubt: str = ""


def load_test_set(source: str, card: ModelCard) -> TestSet:
    """The test set at `source`, fitted to the model that `card` describes and held in memory.

    Forms: Hugging Face parquet (a file as it is, or a folder, of which only the test split is opened), torchvision's
    CIFAR folders or the folder they lie in (read without executing their pickles), an image folder ROOT/CLASS/*.png in
    the order of torchvision's ImageFolder, .npz, and `digits` (scikit-learn's, the held-out 450). Only an image folder
    is resized to the model's input, antialiased bilinear, without regard to proportions. Classes are matched by name
    where both sides know the same names, else by position. Raises DataError for what cannot be read or does not fit.
    """
    raw, name = _read(source, card)
    labels, names, doubt = _fit_labels(raw, card, name)
    with refusing(name):
        images = raw.images()
    if images.shape[1:] != card.input_size:
        raise DataError(
            f"{name}: its images are {_size(images.shape[1:])}, the model takes {_size(card.input_size)}; "
            "take a test set of that shape, or write it as an image folder: only those are resized"
        )
    return TestSet(torch.from_numpy(images), torch.from_numpy(labels), names, name, doubt)


def _read(source: str, card: ModelCard) -> tuple[Raw, str]:
    if source == "digits":
        digits = digits_split()
        return Raw(digits.test_labels.numpy(), digits.label_names, digits.test_images.numpy), source
    path = Path(source)
    if not os.path.isfile(source) and not os.path.isdir(source):  # a pipe would be waited for
        raise DataError(f"there is no test set at {shortened(repr(source))}{near(path)}; name {FORMS}")
    name, suffix = "/".join(path.absolute().parts[-2:]), path.suffix.lower()
    with refusing(name):
        if cifar := cifar_folder(path, card):
            return read_cifar(cifar, card), name
        if suffix == ".npz":
            return read_npz(path, card), name
        if suffix == ".parquet" or any(path.glob("*.parquet")):
            return read_parquet(path, card), name
        if any((path / "data").glob("*.parquet")):  # as the hub lays it out
            return read_parquet(path / "data", card), name
        if path.is_dir() and any(child.is_dir() for child in path.iterdir()):
            return read_image_folder(path, card), name
    raise DataError(f"{name} is no test set of a known form; name {FORMS}")


def _fit_labels(raw: Raw, card: ModelCard, name: str) -> tuple[Integers, tuple[str, ...] | None, str]:
    """Labels in the model's order of classes, the classes' names where anybody knows them, and what is doubtful in that."""
    labels, names, classes = raw.labels, raw.label_names, card.num_classes
    if len(labels) == 0:
        raise DataError(f"{name} holds no images; name a test set that has some")
    if names is not None and len(names) != classes:
        raise DataError(
            f"{name} has {len(names)} classes ({', '.join(names[:3])} …), the model {classes}; "
            "take the data set that the model was made for"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{name}: labels run from {labels.min()} to {labels.max()}, the model's classes from 0 to {classes - 1}; "
            "take a labelled test set of the model's own classes"
        )
    if names is None or card.label_names is None:
        return labels, card.label_names or names, ""
    doubt = ""
    if not set(names) & set(card.label_names):
        theirs, ours = (", ".join(map(shortened, these[:2])) for these in (names, card.label_names))
        doubt = f"none of its class names ({theirs} …) is the model's ({ours} …): classes were matched by position"
    return _model_order(names, card.label_names, name)[labels], card.label_names, doubt


def _model_order(names: tuple[str, ...], model: tuple[str, ...], name: str) -> Integers:
    """The model's class for each of the set's: by name where the names are the same, by position where all differ."""
    position = {label: i for i, label in enumerate(model)}
    if len(position) == len(model) and set(names) == set(model):
        return np.array([position[label] for label in names], np.int64)
    for i, (theirs, ours) in enumerate(zip(names, model, strict=True)):
        if theirs != ours and theirs in position:
            raise DataError(
                f"{name}: class {i} is {theirs!r} there and {ours!r} in the model, but not all names are the same; "
                "give both the same label names"
            )
    return np.arange(len(model))


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
