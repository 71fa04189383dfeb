"""What a log gets to read while a run goes on, where there is no terminal for a bar."""

import json

import pytest

from akd import console
from akd.cli import main
from akd.networks.models import save_model
from tests.conftest import tiny_classifier

ARGS = ["--student", "digitsnet", "--steps", "150", "--method", "dfad", "--set", "method.batch_size=8", "--json"]


@pytest.fixture
def teacher(tmp_path):
    save_model(tiny_classifier(), tmp_path / "teacher")
    return str(tmp_path / "teacher")


@pytest.mark.parametrize(("seldom", "lines"), [(0.0, 3), (3600.0, 0)])
def test_a_log_gets_a_plain_line_now_and_then(seldom, lines, teacher, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "SELDOM", seldom)
    assert main(["distill", "--teacher", teacher, "--out", str(tmp_path / "run"), *ARGS]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["steps"] == 150
    said = printed.err.splitlines()
    assert len(said) == lines
    for line, share, step in zip(said, ("33 %", "67 %", "100 %"), (50, 100, 150), strict=False):
        assert line.startswith(f"{share}  step {step}  loss ") and "agreement" in line and "\x1b" not in line
