"""The command line as a stranger meets it: one-line errors that name the remedy, JSON for scripts, codes that tell."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from akd.cli import build_parser, main
from akd.errors import ConfigError
from akd.files import write_text
from akd.networks.models import save_model
from tests.conftest import tiny_classifier


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a teacher and a zoo of bad files."""
    root = tmp_path_factory.mktemp("cli")
    teacher = tiny_classifier()
    save_model(teacher, root / "teacher")
    (root / "empty").mkdir()
    (root / "empty.pth").write_bytes(b"")
    (root / "text.safetensors").write_text("not weights")
    whole = (root / "teacher" / "model.safetensors").read_bytes()
    (root / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    state = teacher.net.state_dict()
    torch.save(teacher.net, root / "module.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, root / "wrapped.pth")
    torch.save({k: v * float("nan") if v.is_floating_point() else v for k, v in state.items()}, root / "nan.pth")
    torch.save({"epoch": 3}, root / "nothing.pth")
    save_file({"fc.weight": torch.zeros(3, 3)}, root / "other.safetensors")
    (root / "evil.pth").write_bytes(pickle.dumps(Evil()))
    np.savez(root / "objects.npz", a=np.array([{}], dtype=object))
    bad = root / "bad-config"
    save_model(teacher, bad)
    (bad / "config.json").write_text('{"architecture": "digitsnet"}')
    return root


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


FILE = ["--arch", "digitsnet", "--mean", "0.3", "--std", "0.4"]
BAD = [
    ["distil", "--teacher", "teacher"],
    [],
    ["distill"],
    ["distill", "--teacher", "teacher", "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "o"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--time", "5s"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "five"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "-5"],
    ["distill", "--teacher", "teacher", "--out", "o", "--time", "soon"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--budget", "ten"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--budget", "0%"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--budget", "-3M"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--budget", "10%", "--student", "resnet20"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--student", "resnet2"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--method", "dfda"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--stepz", "5"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--set", "method.student_rl=1"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--set", "nonsense"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--set", "method.batch_size=0"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--set", "method.batch_size=many"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--device", "gpu"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--precision", "fp8"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--threads", "0"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--seed", "-1"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--resume"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--checkpoint-every", "never"],
    ["distill", "--teacher", "teacher", "--out", "teacher", "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "empty.pth/run", "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "empty.pth", "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "/proc/akd", "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--num-classes", "7"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--mean", "0.1,0.2"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--mean", "grey"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--labels", "nowhere.txt"],
    ["distill", "--teacher", "nowhere", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "nowhere.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "empty", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "empty.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "text.safetensors", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "cut.safetensors", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "module.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "evil.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "objects.npz", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "nan.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "nothing.pth", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "other.safetensors", "--out", "o", "--steps", "5", *FILE],
    ["distill", "--teacher", "bad-config", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "wrapped.pth", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "wrapped.pth", "--out", "o", "--steps", "5", "--arch", "digitsnet"],
    ["distill", "--teacher", "wrapped.pth", "--out", "o", "--steps", "5", "--arch", "resnte20", "--mean", "0", "--std", "1"],
    ["distill", "--teacher", "no_such_module:factory", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "math:no_such_factory", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "math:pi", "--out", "o", "--steps", "5"],
    ["distill", "--teacher", "hf-hub:", "--out", "o", "--steps", "5"],
    ["distill", "--config", "nowhere.yaml", "--out", "o"],
    ["distill", "--config", "text.safetensors", "--out", "o"],
    ["distill", "--mean", "0.3", "--out", "o", "--steps", "5"],
    ["evaluate", "teacher"],
    ["evaluate", "teacher", "--data", "nowhere"],
    ["evaluate", "teacher", "--data", "empty"],
    ["evaluate", "teacher", "--data", "digits"],
    ["evaluate", "nowhere", "--data", "digits"],
    ["evaluate", "teacher", "--data", "objects.npz"],
    ["evaluate", "teacher", "--data", "text.safetensors"],
    ["report"],
    ["report", "nowhere"],
    ["report", "teacher"],
    ["report", "empty", "--data", "digits"],
    ["report", "empty", "--out", "nowhere/report.html"],
    ["watch"],
    ["watch", "nowhere"],
    ["watch", "teacher", "--once"],
    ["watch", "empty.pth"],
    ["evaluate", "teacher", "--data", "digits", "--attack", "fgsm"],
    ["evaluate", "teacher", "--data", "digits", "--epsilon", "8/255"],
    ["evaluate", "teacher", "--data", "digits", "--attack", "pgd", "--epsilon", "8"],
    ["inspect"],
    ["inspect", "nowhere"],
    ["inspect", "evil.pth", *FILE],
    ["inspect", "teacher", "--mean", "0.1,0.2"],
    ["inspect", "teacher", "--device", "gpu"],
    ["inspect", "teacher", "--threads", "0"],
    ["design"],
    ["design", "--arch", "resnet34"],
    ["design", "--arch", "resnet43", "--num-classes", "10"],
    ["design", "--arch", "resnet34", "--num-classes", "0"],
    ["design", "--arch", "resnet34", "--num-classes", "100", "--budget", "0.0001%"],
    ["design", "--teacher", "teacher", "--budget", "1"],
    ["design", "--teacher", "x" * 300],
    ["distill", "--teacher", "teacher", "--out", "x" * 300, "--steps", "5"],
    ["distill", "--teacher", "teacher", "--out", "o", "--steps", "5", "--threads", "99999999"],
    ["dream", "x" * 300, "--out", "o.parquet"],
    ["bench", "dfad", "--out", "x" * 300],
    ["bench", "dfad", "--out", "o", "--seeds", "-1"],
    ["bench", "dfad", "--out", "o", "--seeds", "one"],
    ["bench", "dfad", "--out", "o", "--task", "mnist", "--data", "nowhere"],
    ["bench", "dfad", "--out", "teacher"],
    ["quickstart", "--out", "teacher"],
    ["quickstart", "--out", "o", "--seed", "-1"],
    ["quickstart", "--out", "o", "--seed", str(1 << 64)],
    ["quickstart", "--seed", "x"],
    ["quickstart", "--out", "empty.pth/deep"],
]


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_input_is_one_line_that_names_a_remedy(argv, here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    code = main(argv)
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert code in (1, 2) and len(lines) == 1 and lines[0].startswith("akd: "), printed.err
    assert "Traceback" not in printed.err and printed.out == ""
    assert len(lines[0]) > 20
    assert not (here / "executed").exists()
    assert not (here / "o").exists()


WORDS = (
    "distill evaluate inspect design methods --attack pgd --epsilon 8/255 "
    "--teacher teacher --out o --steps 5 --budget 10% --student --method dfad --time 1s "
    "--seed --arch resnet20 --mean 0.3 --data digits --json --set a=b --config --input-size 1,8,8 --num-classes 4"
)
words = st.sampled_from(WORDS.split(" "))


@given(st.lists(words | st.text(max_size=5), max_size=7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_command_line_ends_in_a_traceback(argv):
    """Parsing alone: every list of words gives options or an error of ours."""
    from akd.errors import AkdError
    from akd.options import run_of

    if "-h" in argv or "--help" in argv or "--version" in argv:
        return
    try:
        options = build_parser().parse_strictly(argv)
        if options.command == "distill":
            run_of(options)
    except AkdError as error:
        assert str(error)


def test_wrapped_weights_with_all_told_are_taken(here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    arguments = ["--set", "teacher.arguments={widths: [8, 16]}"]
    argv = [
        "distill",
        "--teacher",
        "wrapped.pth",
        *FILE,
        *arguments,
        "--budget",
        "60%",
        "--steps",
        "3",
        "--out",
        "ok",
        "--json",
    ]
    assert main([*argv, "--method", "dfad", "--set", "method.batch_size=8"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] == 3 and (here / "ok" / "student" / "model.safetensors").exists()


def test_no_batch_norm_where_the_method_needs_it(tmp_path, capsys, monkeypatch):
    (tmp_path / "plain_factory.py").write_text(
        "import torch.nn as nn\n\ndef plain(num_classes=4):\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    told = ["--num-classes", "4", "--mean", "0.3", "--std", "0.4", "--input-size", "1,8,8"]
    argv = ["distill", "--teacher", "plain_factory:plain", *told, "--student", "digitsnet", "--steps", "3", "--out", "o"]
    assert main(argv) == 2
    assert "--set method.bn=0, or --method dfad" in capsys.readouterr().err
    assert main([*argv, "--set", "method.bn=0", "--set", "method.batch_size=8", "--out", "o1"]) == 0
    assert main([*argv, "--method", "dfad", "--out", "o2", "--set", "method.batch_size=8"]) == 0


def test_design_and_methods_speak_json(capsys):
    assert main(["design", "--arch", "resnet34", "--num-classes", "100", "--budget", "10%", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert 0.099 <= said["chosen"]["ratio"] <= 0.101 and said["chosen"]["params"] > 2e6 and len(said["candidates"]) > 1
    assert main(["methods", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["methods"]["dfad"]["image"] == ["-discrepancy"] and said["methods"]["fast"]["passes_per_image"] == 5
    assert "BatchNorm" in said["methods"]["nayer"]["needs"] and "features" in said["ideas"]


def test_tables_for_people(capsys):
    assert main(["methods"]) == 0
    assert "dfad" in capsys.readouterr().out
    assert main(["design", "--arch", "resnet20", "--num-classes", "10", "--budget", "25%"]) == 0
    assert "*" in capsys.readouterr().out
    assert main(["design", "--list"]) == 0
    assert "resnet34" in capsys.readouterr().out.split()


def test_options_override_a_recipe(capsys):
    argv = ["distill", "--recipe", "cifar100-10pct", "--teacher", "t", "--print-config", "--json"]
    assert main([*argv, "--steps", "5", "--with", "features", "--set", "method.bank=9"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["budget"], said["steps"], said["time"]) == ("10%", 5, None)
    assert said["method"]["bank"] == 9 and said["method"]["batch_size"] == 256 and list(said["ideas"]) == ["features"]
    assert main([*argv, "--config", "c.yaml"]) == 2
    assert "one of the two" in capsys.readouterr().err


def test_print_config_round_trips(tmp_path, capsys):
    argv = ["distill", "--teacher", "t", "--budget", "5%", "--time", "2m", "--method", "dfad", "--set", "method.latent=64"]
    assert main([*argv, "--print-config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(text)
    assert main(["distill", "--config", str(tmp_path / "c.yaml"), "--print-config"]) == 0
    assert capsys.readouterr().out == text
    assert main(["distill", "--config", str(tmp_path / "c.yaml"), "--steps", "7", "--print-config", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["steps"] == 7 and again["time"] is None and again["method"]["latent"] == 64


def test_help_and_version(capsys):
    for argv in (["--help"], ["distill", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 0
    assert "data" in capsys.readouterr().out


def test_evaluate_speaks_json(here, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(here)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", images=rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), labels=np.arange(40) % 4)
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "set.npz"), "--teacher", "teacher", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 40 and said["agreement"] == 100 and 0 <= said["top1"] <= 100 and said["params"] > 0
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "set.npz")]) == 0
    assert "top-1" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["methods"], ["methods", "--json"], ["design", "--list"]])
def test_a_reader_that_goes_away_is_no_error_to_talk_about(words):
    command = [sys.executable, "-m", "akd", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as akd:
        akd.stdout.close()
        said = akd.stderr.read()
    assert akd.returncode == 1 and said == ""


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a device or a pipe"):
        write_text(tmp_path / "pipe", "words")
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"] and not (tmp_path / "pipe").is_file()
