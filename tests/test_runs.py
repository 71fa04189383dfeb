"""Whole runs as real processes: interrupted, killed, gone on with, refused; and what their folders hold."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import akd
from akd.networks.models import load_model, save_model
from tests.conftest import tiny_classifier

pytestmark = pytest.mark.slow
ARGS = ["--budget", "50%", "--steps", "150", "--seed", "5", "--threads", "1", "--set", "method.batch_size=16"]


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    save_model(tiny_classifier(), folder)
    return folder


def command(teacher, out, *more):
    base = [sys.executable, "-m", "akd", "distill", "--teacher", str(teacher), "--out", str(out)]
    return [*base, *ARGS, "--checkpoint-every", "0.1s", *more]


def run(teacher, out, *more):
    return subprocess.run(command(teacher, out, *more), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def straight(teacher_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    done = run(teacher_folder, out, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def weights(run_folder):
    return load_model(str(run_folder)).state_dict()


def metrics(run_folder):
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def assert_same_end(one, two):
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert metrics(one) == metrics(two)


def test_a_run_folder_explains_itself(straight, teacher_folder):
    out, printed = straight
    names = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert names == {
        "README.md", "config.yaml", "environment.json", "metrics.jsonl", "images", "snapshots", "checkpoint.pt", "student",
        "data_free.json", "result.json",
    }  # fmt: skip
    record = json.loads((out / "data_free.json").read_text())
    assert record["data_free"], record
    assert record["opened"]["other"] == [] and record["data_modules_loaded_while_distilling"] == []
    assert any("model.safetensors" in name for name in record["opened"]["teacher"])
    assert printed["steps"] == 150 and 0.45 < printed["ratio"] < 0.55 and printed["out"] == str(out)
    environment = json.loads((out / "environment.json").read_text())
    assert environment["torch"] == torch.__version__ and environment["threads"] == 1
    assert [line["step"] for line in metrics(out)] == [50, 100, 150]
    pictures = sorted((out / "images").glob("*.png"))
    assert pictures and Image.open(pictures[0]).size == (8 * 9 * 4, 4 * 9 * 4)  # four classes, eight images each
    card = (out / "README.md").read_text()
    assert f"{printed['params']:,}" in card and "seed 5" in card and torch.__version__ in card


def test_the_student_is_a_model_folder_with_the_teachers_classes_and_normalisation(straight, teacher_folder):
    out, _ = straight
    student, teacher = load_model(str(out / "student")), load_model(str(teacher_folder))
    assert student.card.mean == teacher.card.mean and student.card.num_classes == teacher.card.num_classes
    assert student(torch.rand(3, 1, 8, 8)).shape == (3, 4)


def test_a_finished_run_is_not_run_again(straight, teacher_folder):
    out, printed = straight
    before = (out / "checkpoint.pt").stat().st_mtime_ns
    again = run(teacher_folder, out, "--json")
    assert again.returncode == 0 and json.loads(again.stdout) == printed
    assert (out / "checkpoint.pt").stat().st_mtime_ns == before


def test_another_config_is_refused_with_the_difference(straight, teacher_folder):
    done = run(teacher_folder, straight[0], "--set", "seed=6")
    assert done.returncode == 2 and "seed: 5 -> 6" in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_it_ends_bitwise_as_if_it_had_not_been(seed, straight, teacher_folder, tmp_path):
    out, moments = tmp_path / "run", random.Random(seed)
    for _ in range(4):
        child = subprocess.Popen(command(teacher_folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        metrics_file = out / "metrics.jsonl"
        reached = time.monotonic() + 60
        while child.poll() is None and not metrics_file.exists() and time.monotonic() < reached:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.7))
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = run(teacher_folder, out)
    assert done.returncode == 0, done.stderr
    assert_same_end(straight[0], out)
    assert not [p for p in out.rglob(".*") if p.name != ".lock"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_asked_to_stop_it_saves_and_goes_on_bitwise(signum, code, straight, teacher_folder, tmp_path):
    out = tmp_path / "run"
    child = subprocess.Popen(command(teacher_folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(signum)
    _, words = child.communicate(timeout=60)
    assert child.returncode == code, words
    assert "again to go on" in words.strip().splitlines()[-1]
    done = run(teacher_folder, out, "--resume")
    assert done.returncode == 0 and "going on from step" in done.stderr
    assert_same_end(straight[0], out)


def test_a_damaged_checkpoint_is_told_in_one_line(straight, teacher_folder, tmp_path):
    out = tmp_path / "run"
    subprocess.run(["cp", "-r", str(straight[0]), str(out)], check=True)
    (out / "result.json").unlink()
    raw = bytearray((out / "checkpoint.pt").read_bytes())
    raw[len(raw) // 2] ^= 255
    (out / "checkpoint.pt").write_bytes(raw)
    done = run(teacher_folder, out)
    assert done.returncode == 1 and "damaged" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_another_teacher_under_the_same_name_is_refused(straight, tmp_path, teacher_folder):
    out, other = tmp_path / "run", tmp_path / "teacher"
    save_model(tiny_classifier(), other)
    assert run(other, out, "--set", "steps=3").returncode == 0
    (out / "result.json").unlink()
    save_model(tiny_classifier(seed=8), other)
    done = run(other, out, "--set", "steps=3")
    assert done.returncode == 2 and "not those" in done.stderr


def test_two_processes_do_not_share_a_folder(teacher_folder, tmp_path):
    out = tmp_path / "run"
    first = subprocess.Popen(command(teacher_folder, out, "--set", "steps=100000"), stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (out / "config.yaml").exists() and time.monotonic() < until:
            time.sleep(0.02)
        second = run(teacher_folder, out, "--set", "steps=100000")
        assert second.returncode == 2 and "another process" in second.stderr
    finally:
        first.kill()
        first.wait()


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="a full disk is made by mounting one, as root"
)
def test_a_full_disk_is_told_in_one_line_and_the_run_goes_on_after(teacher_folder, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this system does not let us mount a small disk")
    try:
        done = run(teacher_folder, disk / "run")
        assert done.returncode == 1, done.stderr
        assert "no space left" in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert not list((disk / "run").glob(".*.pt*"))
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert run(teacher_folder, disk / "run").returncode == 0
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_the_library_does_the_same_in_a_few_lines(straight, teacher_folder, tmp_path):
    result = akd.distill(
        str(teacher_folder), budget="50%", steps=150, seed=5, threads=1, out=tmp_path / "run",
        method={"name": "akd", "batch_size": 16},
    )  # fmt: skip
    expected = weights(straight[0])
    assert all(torch.equal(value, expected[name]) for name, value in result.student.state_dict().items())


def test_a_teacher_in_memory_and_a_time_budget(tmp_path):
    seen = []
    teacher = tiny_classifier()
    result = akd.distill(teacher, student="digitsnet", time=2, out=tmp_path / "run", method="dfad", watch=seen.append)
    assert seen and seen[-1].progress == 1.0 and 1.9 < result.result["seconds"] < 10
    assert not teacher.training


def test_a_run_that_diverges_ends_with_the_last_good_state(teacher_folder, tmp_path):
    out = tmp_path / "run"
    done = run(teacher_folder, out, "--method", "dfad", "--set", "method.student_lr=1e6", "--set", "steps=2000")
    assert done.returncode == 1, (done.stdout, done.stderr)
    line = done.stderr.strip().splitlines()[-1]
    assert "diverged" in line or "collapsed" in line
    assert not (out / "result.json").exists()
