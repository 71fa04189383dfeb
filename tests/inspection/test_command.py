"""`akd inspect` as a person and as a script meet it."""

import json
import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from akd.cli import build_parser, main
from akd.commands.inspect import distill_command, duration, wrapped
from akd.networks.models import load_model, save_model
from tests.conftest import tiny_classifier


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect") / "teacher"
    save_model(tiny_classifier(), folder)
    return folder


@pytest.mark.slow
def test_what_is_printed_fits_80_columns_and_its_command_is_understood(teacher, capsys):
    command = [sys.executable, "-m", "akd", "inspect", str(teacher.name), "--threads", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=teacher.parent, env={**os.environ, "COLUMNS": "80"}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for word in ("digitsnet", "BatchNorm", "normalisation", "zskt", "--budget", "s a student step", "GB at the peak"):
        assert word in done.stdout, word
    said = shlex.split(done.stdout[done.stdout.index("akd distill") :].replace("\\\n", ""))
    assert main([*said[1:], "--print-config", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert config["teacher"]["source"] == "teacher" and config["steps"] == 3000


def test_a_broken_teacher_is_refused_and_still_described(teacher, tmp_path, capsys, monkeypatch):
    file = tmp_path / "broken.pth"
    state = load_model(str(teacher)).net.state_dict()
    state["fc.bias"] = state["fc.bias"] * float("nan")
    torch.save({name: tensor for name, tensor in state.items() if "tracked" not in name}, file)
    arguments = ["--arch", "digitsnet", "--mean", "0.3", "--std", "0.4"]
    assert main(["inspect", str(file), *arguments, "--json"]) == 2  # widths cannot be told here: it is no default digitsnet
    assert "do not fit" in capsys.readouterr().err
    factory = tmp_path / "broken_factory.py"
    factory.write_text(
        "from akd.networks.lenet import DigitsNet\n\n"
        "def make(num_classes=4):\n    return DigitsNet(num_classes, widths=(8, 16))\n"
    )
    told = ["broken_factory:make", "--weights", str(file), "--mean", "0.3", "--std", "0.4", "--input-size", "1,8,8"]
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", *told, "--json"]) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert not found["distillable"] and found["broken_weights"] == ["fc.bias"] and found["command"] is None
    assert f"akd: {found['error']}\n" == printed.err
    assert len(printed.err.strip().splitlines()) == 1 and "fc.bias" in printed.err
    assert main(["inspect", *told]) == 1
    printed = capsys.readouterr()
    assert "NaN or infinity in 1 tensor" in printed.out and "broken_factory:make cannot be distilled" in printed.err


def test_a_long_command_keeps_to_80_columns_and_can_be_copied():
    source = "/home/somebody/projects/classifier/checkpoints/cifar100/best-of-5"
    numbers = ["--mean", "0.50707516,0.48654887,0.44091784", "--std", "0.26733429,0.25643846,0.27615047"]
    argv = ["inspect", f"{source}.pth", "--arch", "resnet34", "--num-classes", "100", *numbers]
    options = build_parser().parse_strictly(argv)
    advice = SimpleNamespace(method_options="--method akd --set method.bn=0", budget="10%", steps=100_000)
    told = distill_command(options, SimpleNamespace(advice=advice, refusals=()))
    assert max(map(len, told.splitlines())) <= 80
    words = shlex.split(told.replace("\\\n", ""))
    again = build_parser().parse_strictly(words[1:])
    assert again.teacher == [f"{source}.pth"] and again.steps == 100_000 and again.num_classes == 100
    assert again.set == ["method.bn=0"]


def test_small_words():
    assert duration(30) == "30 s" and duration(3 * 3600) == "3 h" and duration(200) == "3 min"
    assert duration(1e6) == "12 days"
    assert wrapped(["a" * 40, "b" * 30, "c" * 30]) == f"{'a' * 40} {'b' * 30} \\\n  {'c' * 30}"
