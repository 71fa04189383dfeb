"""Fixtures: real data and weights where this machine has them, and a tiny teacher that every test can afford."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard

ROOT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)
# The same examples each time where a red run would be nobody's change; new ones at every run elsewhere.
settings.register_profile("akd", max_examples=25, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("akd")
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start


DEAR = {"quickstart_folder", "exported", "dreamed", "whole", "gathered"}  # fixtures whose tests `make check` leaves out


def pytest_collection_modifyitems(items):
    for item in items:
        if DEAR & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT / ".." / "shared" / default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here; set {variable} to a folder with real {default} to run this test")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return _folder("AKD_DATA", "data")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    return _folder("AKD_WEIGHTS", "weights")


def tiny_classifier(seed: int = 0, widths: tuple[int, ...] = (8, 16), classes: int = 4) -> Classifier:
    """A small BatchNorm net for 1x8x8 images whose statistics come from random pictures, so that it is not degenerate."""
    return copy.deepcopy(_tiny_classifier(seed, widths, classes))


@cache
def _tiny_classifier(seed: int, widths: tuple[int, ...], classes: int) -> Classifier:
    from akd.synthesis.pictures import pictures

    arguments = {"widths": list(widths)}
    card = ModelCard("digitsnet", classes, (0.3,), (0.4,), (1, 8, 8), arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(zoo.build("digitsnet", classes, card.input_size, **arguments), card)
        with torch.no_grad():
            for _ in range(30):
                model.train()(pictures(64, card))
    return model.freeze()


@pytest.fixture
def tiny_teacher() -> Classifier:
    return tiny_classifier()


@pytest.fixture(scope="session")
def quickstart_folder(tmp_path_factory) -> Path:
    """What `akd quickstart` leaves: run once, as a user runs it. Tests that use it belong to the xdist group `quickstart`."""
    home = tmp_path_factory.mktemp("home")
    out = home / "runs" / "quickstart"
    command = [sys.executable, "-m", "akd", "quickstart", "--out", "runs/quickstart", "--json"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "quickstart.json").read_text())
    return out
