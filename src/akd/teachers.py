"""A run's teacher, as its config names it or from where it lies by now."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from akd.config import Run
from akd.errors import ConfigError, ModelError
from akd.networks.classifier import Classifier
from akd.networks.ensemble import load_named
from akd.runfolder import RunFolder


def digest(model: Classifier) -> str:
    """sha256 over normalisation, names and values of the weights."""
    total = hashlib.sha256(repr((model.card.mean, model.card.std)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def load_teacher(run: Run) -> Classifier:
    """The teacher that `run` names, frozen."""
    return load_named(asdict(run.teacher))


def teacher_of(folder: RunFolder, named: str | Classifier | None = None) -> Classifier:
    """The teacher that the run in `folder` began with, told as it was then; `named`: where it lies by now, or itself.

    ConfigError where it cannot be had, or is another by its weights; ModelError where `named` cannot be loaded.
    """
    teacher = named if isinstance(named, Classifier) else _loaded(folder, named)
    now = digest(teacher)
    if folder.environment().get("teacher_sha256", now) != now:
        which = named if isinstance(named, str) else "the model given" if named else "what config.yaml names"
        raise ConfigError(f"{which} is not the teacher that {folder.path} began with; give --teacher the right one")
    return teacher


def _loaded(folder: RunFolder, named: str | None) -> Classifier:
    told = _located(asdict(folder.config().teacher), folder.environment().get("cwd", ""))
    if named is not None and named != told.get("source"):
        if "members" in told:
            raise ConfigError(f"{folder.path} had several teachers, {named} is one; put them where config.yaml names them")
        told["source"] = named
    try:
        return load_named(told)
    except ModelError as error:
        if named is not None:
            raise
        raise ConfigError(f"the run's teacher cannot be loaded ({error}); give --teacher its place") from error


def _located(told: dict[str, Any], began: str) -> dict[str, Any]:
    """`told`, its relative paths as they were meant in the folder `began`, where they lead nowhere from here."""
    found = {**told}
    for key in ("source", "weights"):
        if (path := told.get(key)) and not Path(path).exists() and (Path(began) / path).exists():
            found[key] = str(Path(began) / path)
    return found | {"members": [_located(one, began) for one in told["members"]]} if "members" in told else found
