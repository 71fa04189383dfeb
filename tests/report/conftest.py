"""A small run made by the real thing, with class names that mean harm, and a test set to measure it on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import akd
from akd.networks.models import save_model
from tests.conftest import tiny_classifier

NAMES = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "{{ 7*7 }} & <!--", "façade’s name")


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    teacher = tiny_classifier()
    teacher.card = replace(teacher.card, label_names=NAMES)
    save_model(teacher, folder)
    return folder


def distil(teacher: Path, out: Path, **changes) -> Path:
    method = {"name": "akd", "batch_size": 16, **changes.pop("method", {})}
    akd.distill(teacher, out=out, method=method, **{"budget": "50%", "steps": 120, "threads": 1, **changes})
    return out


@pytest.fixture(scope="session")
def run_folder(teacher_folder, tmp_path_factory) -> Path:
    return distil(teacher_folder, tmp_path_factory.mktemp("runs") / '<b onclick="alert(3)">run')


@pytest.fixture(scope="session")
def bankless(teacher_folder, tmp_path_factory) -> Path:
    """A run of a method that keeps no bank."""
    return distil(teacher_folder, tmp_path_factory.mktemp("runs") / "dfad", method={"name": "dfad"}, seed=3, steps=60)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    file, rng = tmp_path_factory.mktemp("data") / "set.npz", np.random.default_rng(0)
    np.savez(file, images=rng.integers(0, 255, (200, 8, 8), dtype=np.uint8), labels=np.arange(200) % 4)
    return file
