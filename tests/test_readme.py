"""What the README says is what happens: its commands are understood, its Python runs, its figures come from results/."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from akd.cli import build_parser
from akd.networks import zoo
from akd.options import run_of

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands():
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in text.splitlines() if line.strip()]


def test_the_two_commands_are_there_and_ci_runs_the_second():
    assert "python3 run.py quickstart" in commands() and "python3 run.py test" in commands()
    said = subprocess.run(["sed", "-n", "s/^exec //p", ROOT / ".ci" / "run"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "$command"


def test_every_akd_command_is_understood():
    ours = [shlex.split(c) for c in commands() if c.startswith("akd ")]
    assert len(ours) >= 3
    for words in ours:
        options = build_parser().parse_strictly(words[1:])
        if options.command == "distill":
            assert run_of(options).budget == "10%"


@pytest.mark.slow
def test_the_python_runs(tmp_path):
    (code,) = blocks("python")
    for told, small in (
        ("resnet34", "resnet20"),
        ('"10m"', "1"),
        ("num_classes=100", "num_classes=10"),
        ("cifar100/", "set.npz"),
    ):
        assert told in code
        code = code.replace(told, small)
    torch.manual_seed(0)
    torch.save(zoo.build("resnet20", 10, (3, 32, 32)).state_dict(), tmp_path / "teacher.pth")
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(20) % 10)
    code = code.replace("budget=", 'method={"name": "dfad", "batch_size": 8}, budget=')
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout) <= 100


@pytest.mark.slow
def test_the_tables_are_what_the_results_say():
    checked = subprocess.run([sys.executable, ROOT / "bench" / "tables.py", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("file", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))])
def test_links_inside_the_repository_lead_somewhere(file):
    text = (ROOT / file).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / file).parent / target).exists(), target
