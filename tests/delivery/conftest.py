"""A run folder as `akd distill` leaves it: a tiny teacher, twenty steps, real files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import akd
from akd.networks.classifier import Classifier
from akd.networks.models import save_model
from akd.synthesis.pictures import pictures
from tests.conftest import tiny_classifier

NAMES = ("cat", "dog", "newt", "dog")  # two classes of one name, as ImageNet has


def wide_awake_teacher() -> Classifier:
    """The tiny teacher with its last bias moved so that it sees every class in some of the pictures."""
    teacher = tiny_classifier()
    with torch.no_grad():
        last = [module for module in teacher.net.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.bias -= teacher(pictures(512, teacher.card)).median(0).values
    object.__setattr__(teacher.card, "label_names", NAMES)
    return teacher


def tiny_run(folder: Path, **method: object) -> Path:
    if not (folder / "teacher").exists():
        save_model(wide_awake_teacher(), folder / "teacher")
    run = folder / f"run-{method['name']}"
    akd.distill(folder / "teacher", student="digitsnet", steps=20, out=run, method={"batch_size": 16, **method})
    return run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("delivery"), name="akd")
