"""Results are recorded once, and rows are what the lines say."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

import record
import tables

ENVIRONMENT = {"device": "a machine", "precision": "float32", "threads": 1, "akd": "0", "torch": "2", "python": "3"}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    return tmp_path / "results"


def line(seed, top1, **more):
    return {"seed": seed, "teacher": "t", "teacher_top1": 72.0, "budget": "10%", "method": "akd", "time": None, "top1": top1,
            "agreement": top1, "params": 1000, "steps": 30, "seconds": 60.0, "n": 500, "curve": [], **more}  # fmt: skip


def test_what_a_command_says_again_is_no_second_measurement(results, capsys):
    for top1 in (10.0, 10.0, 12.0):
        record.append("it", line(0, top1), ENVIRONMENT)
    record.append("it", line(1, 10.0), ENVIRONMENT, dry=True)
    assert [row["top1"] for row in record.recorded("it")] == [10.0, 12.0]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 and all(json.loads(row)["commit"] for row in printed)


def test_seeds_are_one_row_and_another_machine_is_another(results):
    for seed, top1 in ((0, 50.0), (0, 10.0), (1, 12.0)):  # of a seed the last
        record.append("it", line(seed, top1), ENVIRONMENT)
    record.append("it", line(0, 20.0), {**ENVIRONMENT, "device": "another"})
    text = tables.cifar100("it", "So:")
    assert "| 30 | 1 min | 11.00 ± 1.41 % | 11.00 ± 1.41 % |" in text and "| 20.00 % | 20.00 % |" in text
    assert "a machine, 1 thread, torch 2" in text and "seeds 0, 1" in text and "another, 1 thread" in text
    assert "50.0" not in text
