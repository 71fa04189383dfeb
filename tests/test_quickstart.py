"""The first minute, as a user has it: the whole quickstart, in its own process."""

import json
import subprocess
import sys

import pytest

from akd import quickstart
from akd.cli import main
from akd.networks.models import load_model
from akd.quickstart import Stopwatch


def test_seconds_are_those_of_all_attempts(tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "KEEP", 0.0)
    first = Stopwatch(tmp_path / "seconds.json").read()
    second = Stopwatch(tmp_path / "seconds.json")
    assert second.earlier == first >= 0 and second.read() > first
    assert Stopwatch(tmp_path / "seconds.json").earlier > first
    (tmp_path / "seconds.json").write_text("[")
    assert Stopwatch(tmp_path / "seconds.json").earlier == 0


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quickstart")]


def test_quickstart_teaches_two_students_without_data(quickstart_folder):
    out = quickstart_folder
    command = [sys.executable, "-m", "akd", "quickstart", "--out", "runs/quickstart", "--json", "--seed"]
    said = json.loads((out / "quickstart.json").read_text())
    teacher, students = said["teacher"], said["students"]
    assert teacher["accuracy"] > 98 and said["test_images"] == 450
    assert [s["budget"] for s in students] == ["10%", "20%"]
    # Far looser than what it reaches (see results/quickstart.jsonl): this guards against breakage, not against noise.
    for student, share, within in zip(students, (0.1, 0.2), (4, 3), strict=True):
        assert abs(student["ratio"] / share - 1) <= 0.01
        assert student["accuracy"] > teacher["accuracy"] - within
        assert student["agreement"] > 95
    for name in ("student-10pct", "student-20pct"):
        assert json.loads((out / name / "data_free.json").read_text())["data_free"]
    assert load_model(str(out / "teacher")).card.label_names == tuple("0123456789")

    again = subprocess.run([*command, "0"], cwd=out.parent.parent, capture_output=True, text=True, timeout=600)
    repeated = json.loads(again.stdout)
    assert repeated["seconds"] > said["seconds"]  # of both attempts together
    assert [s["accuracy"] for s in repeated["students"]] == [s["accuracy"] for s in students]
    refused = subprocess.run([*command, "8"], cwd=out.parent.parent, capture_output=True, text=True)
    assert refused.returncode == 2 and "--seed 0" in refused.stderr


def test_a_model_of_ones_own_is_not_trained_over(tmp_path, capsys):
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "model.safetensors").write_bytes(b"mine")
    assert main(["quickstart", "--out", str(tmp_path)]) == 2
    assert "no quickstart's" in capsys.readouterr().err
    assert (tmp_path / "teacher" / "model.safetensors").read_bytes() == b"mine"


def test_a_damaged_note_is_named(tmp_path, capsys):
    (tmp_path / "teacher").mkdir()
    (tmp_path / "seconds.json").write_text('{"seconds": 3}')
    (tmp_path / "teacher" / "training.json").write_text('{"seed":')
    assert main(["quickstart", "--out", str(tmp_path)]) == 2
    assert "training.json is damaged" in capsys.readouterr().err
