"""What the documentation shows is what happens."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import akd
from akd.catalogue import catalogue
from akd.cli import main
from akd.methods import METHODS
from akd.networks import zoo
from tests import test_contract
from tests.conftest import tiny_classifier

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md") if "```sh" in page.read_text())
SHORTER = {"--time 10m": "--steps 3 --set method.batch_size=8 --set method.bank=64", r"--steps \d+": "--steps 5"}


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
    test_contract.test_losses_are_finite_and_the_student_moves("wavering", "fp32")
    test_contract.test_a_resumed_run_is_bitwise_equal_to_a_straight_one("wavering", 6, tmp_path)
    test_contract.test_the_teacher_is_untouched_and_no_hook_is_left("wavering")
    assert catalogue()["methods"]["wavering"]["image"] == ["waver", "balance", "bn"]


def test_the_example_runs_from_a_notebook(wavering, tmp_path):
    torch.manual_seed(0)
    method = wavering(waver=0.5, batch_size=16)
    outcome = akd.distill(tiny_classifier(), method=method, out=tmp_path / "w", steps=3, budget="50%", device="cpu")
    assert outcome.result["method"] == "wavering" and outcome.result["steps"] == 3


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    told = (ROOT / "mkdocs.yml").read_text()
    assert all(f": {page.name}\n" in told for page in DOCS.glob("*.md")), "a page that the menu does not name"


def commands(page):
    text = "\n".join(re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(), flags=re.S)).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]


def finished(words):
    """The exit code; --help and --version leave by one of their own."""
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


@pytest.mark.xdist_group("quickstart")
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_its_order(page, quickstart_folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(quickstart_folder, tmp_path / "runs" / "quickstart")
    torch.manual_seed(0)
    net = zoo.build("resnet20", 10, (3, 32, 32))
    net(torch.rand(8, 3, 32, 32))  # BatchNorm statistics that were never trained are refused
    torch.save(net.state_dict(), tmp_path / "teacher.pth")
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "test.npz", images=images, labels=np.arange(20) % 10)
    for command in commands(page):
        for told, small in SHORTER.items():
            command = re.sub(told, small, command)
        words = shlex.split(command.partition(" > ")[0])
        assert words[0] == "akd", command
        assert finished(words[1:]) == 0, f"{command}: {capfd.readouterr().err[-400:]}"
