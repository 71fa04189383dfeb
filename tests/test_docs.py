"""What the documentation shows is what happens."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

import akd
from akd.catalogue import catalogue
from akd.methods import METHODS
from tests import test_contract
from tests.conftest import tiny_classifier

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture
def wavering(tmp_path, monkeypatch):
    """The page's example, written to a file and entered in the table."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "adding-a-method.md").read_text(), flags=re.S)
    file = tmp_path / "wavering.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location("wavering", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wavering", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(METHODS, "wavering", module.Wavering)
    return module.Wavering


@pytest.mark.usefixtures("wavering")
def test_the_example_of_a_method_keeps_the_contract(tmp_path):
    test_contract.test_losses_are_finite_and_the_student_moves("wavering")
    test_contract.test_a_resumed_run_is_bitwise_equal_to_a_straight_one("wavering", 6, tmp_path)
    test_contract.test_the_teacher_is_untouched_and_no_hook_is_left("wavering")
    assert catalogue()["methods"]["wavering"]["image"] == ["waver", "balance", "bn"]


def test_the_example_runs_from_a_notebook(wavering, tmp_path):
    torch.manual_seed(0)
    method = wavering(waver=0.5, batch_size=16)
    outcome = akd.distill(tiny_classifier(), method=method, out=tmp_path / "w", steps=3, budget="50%", device="cpu")
    assert outcome.result["method"] == "wavering" and outcome.result["steps"] == 3
