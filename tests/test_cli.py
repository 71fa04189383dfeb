"""The command line as a stranger meets it: one-line errors that name the remedy, JSON for scripts, codes that tell."""

import json
import os
import pickle
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from akd.cli import build_parser, main
from akd.commands import COMMANDS
from akd.errors import ConfigError
from akd.files import write_text
from akd.networks.models import load_model, save_model
from akd.options import run_of
from akd.recipes import recipes
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


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_a_script_gets_the_error_as_an_object(argv, here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    assert main([*argv, "--json"]) in (1, 2)
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert list(said) == ["error"] and printed.err == f"akd: {said['error']}\n"


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
    assert said["methods"]["cmi"]["passes_per_image"] == 2 * 200  # each image is looked at in two views
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


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_examples_that_are_understood(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    told = capsys.readouterr().out
    shown = told[told.index("examples:\n") :].splitlines()[1:]
    assert max(map(len, shown)) <= 80
    examples = [shlex.split(line) for line in "\n".join(shown).replace("\\\n", " ").splitlines() if line.strip()]
    assert 1 <= len(examples) <= 2
    for words in examples:
        options = build_parser().parse_strictly(words[1:])
        assert words[0] == "akd" and options.command == name
        if name == "distill":
            assert run_of(options).teacher.source


def test_recipes_are_listed_and_shown_without_a_teacher(capsys):
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert list(listed) == recipes() and all(len(told) > 20 and "#" not in told for told in listed.values())
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for name in listed:
        assert name in printed
        assert main(["distill", "--recipe", name, "--print-config", "--json"]) == 0
        config = json.loads(capsys.readouterr().out)
        assert config["teacher"]["source"] == "TEACHER" and config["time"] == 600
    assert main(["distill", "--recipe", "cifar", "--print-config"]) == 2
    assert ", ".join(listed) in capsys.readouterr().err
    assert main(["distill", "--recipe", "cifar100-10pct", "--out", "o"]) == 2
    assert "which teacher?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "told"), [("[8, 16]", True), ("[4, 8]", False)])
def test_a_student_no_smaller_than_its_teacher_is_remarked_on(widths, told, tmp_path, capsys):
    save_model(tiny_classifier(widths=(8, 16)), tmp_path / "teacher")
    (tmp_path / "net_factory.py").write_text(
        "from akd.networks.lenet import DigitsNet\n\n"
        f"def make(num_classes=4):\n    return DigitsNet(num_classes, widths={widths})\n"
    )
    argv = ["distill", "--teacher", str(tmp_path / "teacher"), "--student", "net_factory:make", "--steps", "2"]
    argv += ["--method", "dfad", "--set", "method.batch_size=8", "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run([sys.executable, "-m", "akd", *argv], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("the student has 100 % of its teacher's parameters; --budget" in done.stderr) == told


def test_evaluate_speaks_json(here, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(here)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", images=rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), labels=np.arange(40) % 4)
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "set.npz"), "--teacher", "teacher", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["n"] == 40 and said["agreement"] == 100 and 0 <= said["top1"] <= 100 and said["params"] > 0
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "set.npz")]) == 0
    assert "top-1" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("words", [["methods"], ["methods", "--json"], ["design", "--list"]])
def test_a_reader_that_goes_away_is_no_error_to_talk_about(words):
    command = [sys.executable, "-m", "akd", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as akd:
        akd.stdout.close()
        said = akd.stderr.read()
    assert akd.returncode == 1 and said == ""


def test_only_classes_below_the_whole_are_called_weak(here, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(here)
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        sees = load_model("teacher")(torch.from_numpy(images)[:, None] / 255).argmax(1).numpy()
    np.savez(tmp_path / "right.npz", images=images, labels=sees)
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "right.npz")]) == 0
    assert "weakest" not in capsys.readouterr().out
    wrong = int(sees[0])
    labels = np.concatenate([[(wrong + 1) % 4], sees[1:]])
    np.savez(tmp_path / "one-wrong.npz", images=images, labels=labels)
    assert main(["evaluate", "teacher", "--data", str(tmp_path / "one-wrong.npz")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weakest")]
    assert f" {(wrong + 1) % 4} " in line and "100.0 %" not in line


@pytest.mark.slow
@pytest.mark.parametrize("command", ["watch", "report", "evaluate", "export", "dream"])
def test_a_run_killed_at_its_start_is_told_in_one_form(command, here, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(here)
    more = {"evaluate": ["--data", "digits"], "dream": ["--out", str(tmp_path / "set.parquet")]}.get(command, [])
    run = tmp_path / "a run"
    run.mkdir()
    (run / ".lock").touch()
    (run / ".config.yaml.x.akd-half-written").touch()
    assert main([command, str(run), *more]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"akd: the run in {run} has no ") and line.endswith("the akd distill command that began it\n")
    argv = ["distill", "--teacher", "teacher", "--budget", "60%", "--steps", "3", "--method", "dfad"]
    assert main([*argv, "--set", "method.batch_size=8", "--print-config"]) == 0
    (run / "config.yaml").write_text(capsys.readouterr().out)
    if command == "watch":  # it waits for the first report
        assert main([command, str(run), "--once"]) == 0 and "no report yet" in capsys.readouterr().out
        return
    assert main([command, str(run), *more]) == 2
    words, _, remedy = capsys.readouterr().err.strip().partition("; if it was stopped, go on with it: akd ")
    assert words.startswith(f"akd: the run in {run} has no ")
    assert main(shlex.split(remedy)) == 0 and (run / "result.json").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["evaluate", "runs/quickstrt/teacher", "--data", "digits"], "did you mean 'runs/quickstart/teacher'?"),
        (["evaluate", "runs/quickstart/techer", "--data", "digits"], "did you mean 'runs/quickstart/teacher'?"),
        (["evaluate", "teacher", "--data", "runs/sett.npz"], "did you mean 'runs/set.npz'?"),
        (["report", "runs/quickstrt/student"], "did you mean 'runs/quickstart/student'?"),
        (["dream", "runs/quickstart/studnt", "--out", "o.parquet"], "did you mean 'runs/quickstart/student'?"),
        (["distill", "--teacher", "teacher", "--steps", "5", "--set", "method.temprature=2"], "mean 'method.temperature'?"),
        (
            ["distill", "--teacher", "teacher", "--steps", "5", "--set", "method.temperature=abc"],
            "must be a number; write method",
        ),
        (["distill", "--teacher", "teacher", "--steps", "5", "--set", "method.bank=abc"], "whole number; write method.bank=8"),
    ],
)
def test_a_hint_can_be_typed_as_it_stands(argv, words, here, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/quickstart/teacher", "runs/quickstart/student"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "set.npz").touch()
    save_model(tiny_classifier(), tmp_path / "teacher")
    assert main([*argv, *(["--out", "o"] if argv[0] == "distill" else [])]) == 2
    assert words in capsys.readouterr().err


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a device or a pipe"):
        write_text(tmp_path / "pipe", "words")
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"] and not (tmp_path / "pipe").is_file()


def test_a_factory_that_leaves_is_an_error_whatever_it_says(tmp_path, monkeypatch, capsys):
    (tmp_path / "leaves.py").write_text("import sys\n\ndef net(num_classes=2):\n    sys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    argv = ["design", "--teacher", "leaves:net", "--num-classes", "2", "--mean", "0", "--std", "1", "--input-size", "1,8,8"]
    assert main([*argv, "--budget", "10%", "--json"]) == 1
    printed = capsys.readouterr()
    assert "asked to exit" in json.loads(printed.out)["error"] and "asked to exit" in printed.err
