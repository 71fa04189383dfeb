"""The ceilings' bench: students that learn from data, told apart by what they learn from, and resumed as if never stopped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from akd.config import from_dict
from akd.evaluation.writers import write_parquet
from akd.networks.models import save_model
from akd.runfolder import RunFolder
from akd.runner import make_student
from akd.runtime import make_runtime
from akd.synthesis.bank import eight_bit
from akd.synthesis.pictures import pictures
from tests.conftest import tiny_classifier

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

from ceiling import Training, training_set  # noqa: E402


@pytest.fixture
def data(tmp_path):
    """Pictures with the labels that a teacher gives them, so that there is something to learn: 2 training files, 1 of test."""
    teacher = tiny_classifier()
    torch.manual_seed(0)
    names = [f"class {k}" for k in range(4)]
    for name in ("train-0", "train-1", "test-0"):
        images = eight_bit(pictures(200, teacher.card))
        logits = teacher(images.float() / 255).detach()
        write_parquet(tmp_path / f"{name}.parquet", images, logits.argmax(1), logits, names)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("by", ["labels", "teacher"])
def test_it_goes_on_bitwise_where_it_stopped(by, data, tmp_path):
    run = from_dict({"teacher": "-", "budget": "50%", "steps": 12, "method": {"name": "akd", "batch_size": 16}})
    runtime, teacher = make_runtime("cpu", "fp32", 8), tiny_classifier()
    images, labels = training_set(data, teacher.card)
    assert images.shape == (400, 1, 8, 8) and labels.shape == (400,)

    def training(folder):
        folder.mkdir(exist_ok=True)
        made = Training(run, make_student(run, teacher), teacher if by == "teacher" else None, runtime, RunFolder(folder))
        made.go_on()
        return made

    straight = training(tmp_path / "straight")
    straight.whole(images, labels)
    stopped = training(tmp_path / "stopped")
    for _ in range(5):
        with stopped.rng.here():
            stopped.learn(images, labels)
        stopped.step += 1
    stopped.save()
    resumed = training(tmp_path / "stopped")
    assert resumed.step == 5
    resumed.whole(images, labels)
    for name, value in straight.student.state_dict().items():
        assert torch.equal(value, resumed.student.state_dict()[name]), name


@pytest.mark.slow
def test_both_students_learn(data, tmp_path):
    save_model(tiny_classifier(), tmp_path / "teacher")
    told = ["--teacher", str(tmp_path / "teacher"), "--budget", "50%", "--steps", "150", "--set", "method.batch_size=32"]
    command = [sys.executable, BENCH / "ceiling.py", "--out", tmp_path / "out", "--data", data, "--dry", "--", *told]
    command += ["--threads", "1", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["by"] for line in lines] == ["labels", "teacher"]
    for line in lines:
        assert line["teacher_top1"] == 100 and line["top1"] == line["agreement"] > 70 and line["steps"] == 150
    other = subprocess.run([*command, "--seed", "5"], capture_output=True, text=True)
    assert other.returncode and "another config" in other.stderr
