"""What a log gets to read while a run goes on, where there is no terminal for a bar."""

import io
import json

import numpy as np
import pytest

from akd import console
from akd.cli import main
from akd.networks.models import save_model
from tests.conftest import tiny_classifier

ARGS = ["--budget", "50%", "--steps", "150", "--method", "dfad", "--set", "method.batch_size=8", "--json"]


@pytest.fixture
def teacher(tmp_path):
    save_model(tiny_classifier(), tmp_path / "teacher")
    return str(tmp_path / "teacher")


@pytest.mark.slow
@pytest.mark.parametrize(("seldom", "lines"), [(0.0, 3), (3600.0, 0)])
def test_a_log_gets_a_plain_line_now_and_then(seldom, lines, teacher, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "SELDOM", seldom)
    assert main(["distill", "--teacher", teacher, "--out", str(tmp_path / "run"), *ARGS]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["steps"] == 150
    said = [line for line in printed.err.splitlines() if line != result["warning"]]
    assert len(said) == lines
    for line, share, step in zip(said, ("33 %", "67 %", "100 %"), (50, 100, 150), strict=False):
        assert line.startswith(f"{share}  step {step}  loss ") and "agreement" in line and "\x1b" not in line


@pytest.mark.slow
def test_no_command_works_in_silence(teacher, tmp_path, capsys, monkeypatch):
    run, data = str(tmp_path / "run"), str(tmp_path / "set.npz")
    rng = np.random.default_rng(0)
    np.savez(data, images=rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), labels=np.arange(40) % 4)
    assert main(["distill", "--teacher", teacher, "--out", run, *ARGS, "--method", "akd", "--set", "method.bank=64"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(console, "SELDOM", 0.0)
    commands = {
        "0 %  attacking the teacher": ["evaluate", run, "--data", data, "--attack", "pgd", "--images", "4"],
        "run: the images it learned from": ["report", run, "--data", data, "--out", str(tmp_path / "report.html")],
        "0 %  what the teacher sees in the run's bank": ["dream", run, "--images", "8", "--out", str(tmp_path / "set.parquet")],
        "timing steps of": ["inspect", teacher, "--threads", "1"],
    }
    for words, argv in commands.items():
        assert main([*argv, "--json"]) == 0, argv
        printed = capsys.readouterr()
        assert isinstance(json.loads(printed.out), dict) and "\x1b" not in printed.err
        assert any(line.startswith(words) for line in printed.err.splitlines()), printed.err


def test_on_a_terminal_a_bar_comes_and_goes(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(console, "log", console.Terminal(file=screen, force_terminal=True, width=80))
    with console.working("loading") as tell:
        tell("asking", 0.25)
    assert "asking" in screen.getvalue() and "25%" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # the bar's line is wiped
