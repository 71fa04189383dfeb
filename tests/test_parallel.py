"""Two processes on one run, as torchrun starts them: the same run as one process makes, however it is stopped.

`python -m tests.test_parallel FILE` is one of two processes that make the checks of `CHECKS` together.
"""

import copy
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from akd import parallel
from akd.cli import main
from akd.config import from_dict
from akd.errors import AkdError
from akd.loop import Budget, run_loop
from akd.networks.models import load_model, save_model
from akd.parallel import Group, joined
from akd.place import Place, place
from akd.runner import check_alike
from akd.runtime import Rng
from tests.conftest import ROOT, tiny_classifier
from tests.test_contract import bits, fresh_state, run

pytestmark = pytest.mark.xdist_group("parallel")  # its fixtures are dear
EXACT = ("akd", "zskt", "dfad+features+boundary+generators")
KINDS = ("akd", "fast+features", "dfad+robust+selfsup")  # the last two ideas draw random numbers for each share apart
STEPS = 80
ARGS = ["--budget", "50%", "--steps", str(STEPS), "--seed", "5", "--threads", "1", "--set", "method.batch_size=16"]
LOSSES, WEIGHTS = 1e-4, 3e-5  # how far two processes may be from one: losses relatively, weights absolutely


def check_words(group):
    mine = [torch.full((2, 3), float(group.rank)), torch.tensor(10.0 * group.rank)]
    group.average_(mine)
    assert torch.equal(mine[0], torch.full((2, 3), 0.5)) and mine[1] == 5
    assert group.same({"of": group.rank}) == {"of": 0}
    assert group.most(group.rank, -group.rank) == [1, 0]
    assert group.all(group.rank * "x") == ["", "x"]
    batch = torch.arange(6.0)
    assert torch.equal(torch.stack(group.all(group.part(batch)), 1).flatten(), batch)


class Own(nn.BatchNorm2d):
    """As the zoos have them: a BatchNorm with a forward of its own."""

    def forward(self, x):
        return super().forward(x).relu()


def check_batch_norm(group):
    for shape, layer in (((8, 3, 5, 5), nn.BatchNorm2d), ((8, 3, 4, 4), Own), ((6, 3), nn.BatchNorm1d)):
        torch.manual_seed(0)
        whole, shared = nn.Sequential(layer(3), nn.Flatten(), nn.LazyLinear(2)), None
        whole(torch.rand(shape))
        shared = copy.deepcopy(whole)
        x = (100 + 3 * torch.randn(shape)).requires_grad_()  # a large mean: sums of squares would lose its digits
        mine = group.part(x.detach()).clone().requires_grad_()
        y, target = whole(x), torch.randn(shape[0], 2)
        (y - target).square().mean().backward()
        with group.whole_batch_norm():
            z = shared(mine)
        (z - group.part(target)).square().mean().backward()
        group.average_([p.grad for p in shared.parameters()])
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(z, group.part(y), **close)
        torch.testing.assert_close(mine.grad / group.size, group.part(x.grad), **close)
        for p, q in zip(shared.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, **close)
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-5, atol=1e-6)
        before = copy.deepcopy(shared.state_dict())
        with group.whole_batch_norm():
            assert torch.equal(shared.eval()(x), copy.deepcopy(shared)(x))
        assert all(torch.equal(value, before[name]) for name, value in shared.state_dict().items())


def digest_of(state):
    saved = state.state_dict()
    saved["counters"] = {k: v for k, v in saved["counters"].items() if k != "seconds"}
    raw = b"".join(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in bits(saved))
    return hashlib.sha256(raw + repr(saved["counters"]).encode()).hexdigest()


def in_double(method, group):
    state = fresh_state(method)
    state.runtime = replace(state.runtime, group=group)
    for part in (state.teacher, state.student, state.average, state.maker, state.modules, state.critics):
        if part is not None:
            part.double()
    return state


def check_methods_one_by_one(group):
    """In float64: float32 rounds apart, now and then a pixel of the 8-bit bank with it, and a mistake could hide in that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            for method in EXACT:
                alone, shared = in_double(method, Group()), in_double(method, group)
                (one,), (two,) = run(alone, 9), run(shared, 9)
                assert two.losses == pytest.approx(one.losses, rel=1e-9, abs=1e-9), method
                for a, b in zip(bits(alone.student.state_dict()), bits(shared.student.state_dict()), strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        finally:
            torch.set_default_dtype(torch.float32)


def check_states_alike(group):
    for method in KINDS:
        state = fresh_state(method)
        state.runtime = replace(state.runtime, group=group)
        (report,) = run(state, 9)
        assert len(set(group.all(digest_of(state)))) == 1, method
        assert all(loss == loss for loss in report.losses.values())


def check_time_is_the_first_processs(group):
    state = fresh_state("dfad")
    state.runtime = replace(state.runtime, group=group)
    state.seconds = 100.0 * group.rank
    *_, report = [report for report in run_loop(state, Budget(seconds=0.3)) if report]
    assert len(set(group.all((state.step, report.progress)))) == 1 and report.progress == 1 and state.step


def check_unlike_processes_are_refused(group):
    state, record = fresh_state("dfad"), from_dict({"teacher": "t", "budget": "10%", "steps": 5})
    state.runtime = replace(state.runtime, group=group)
    check_alike(record, state)
    with nullcontext() if group.first else pytest.raises(AkdError, match="process 1 has other options"):
        check_alike(replace(record, seed=group.rank), state)


def check_own_draws(group):
    state = fresh_state("akd")
    state.runtime = replace(state.runtime, group=group)
    with state.rng.here():
        common = torch.rand(3)
        with state.apart():
            mine = group.all(torch.rand(3))
        after = torch.rand(3)
    assert not torch.equal(*mine)
    rng = Rng(3, torch.device("cpu"))
    with fresh_state("akd").rng.here():
        expected = torch.rand(3), torch.rand(3)
    assert torch.equal(common, expected[0]) and torch.equal(after, expected[1])
    with rng.apart(0, group.rank):
        assert torch.equal(torch.rand(3), mine[group.rank])


CHECKS = {
    check.__name__: check
    for check in (
        check_words,
        check_batch_norm,
        check_methods_one_by_one,
        check_states_alike,
        check_time_is_the_first_processs,
        check_unlike_processes_are_refused,
        check_own_draws,
    )
}


def checks_together(out):
    """What went wrong in each check, '' where nothing did; and how long a process waits for one that says nothing."""
    found = {}
    with joined(torch.device("cpu")) as group:
        for name, check in CHECKS.items():
            try:
                check(group)
                wrong = ""
            except Exception:
                wrong = traceback.format_exc()
            found[name] = "".join(group.all(wrong))
        os.environ["MASTER_PORT"] = group.same(free_port())
    parallel.PATIENCE = 5.0
    began = time.monotonic()
    with joined(torch.device("cpu")) as group:
        if group.first:
            with pytest.raises(AkdError, match="another process"):
                group.most(0)
            found["waited"] = time.monotonic() - began
            out.write_text(json.dumps(found))
        else:
            while not out.exists() and time.monotonic() < began + 60:
                time.sleep(0.1)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def two(words):
    """Two processes side by side, as a cluster starts them without torchrun: each one's exit code is its own."""
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [
        subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def ends(children):
    """(exit code, stdout, stderr) of each."""
    try:
        said = [child.communicate(timeout=300) for child in children]
    finally:
        for child in children:
            child.kill()
    return [(child.returncode, *words) for child, words in zip(children, said, strict=True)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "found.json"
    codes = ends(two(["tests.test_parallel", str(out)]))
    assert [code for code, *_ in codes] == [0, 0], codes
    return json.loads(out.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_two_processes_find(check, found):
    assert found[check] == ""


@pytest.mark.slow
def test_a_process_that_says_nothing_is_given_up(found):
    assert 5 <= found["waited"] < 60


def test_a_process_alone_is_a_group_that_changes_nothing():
    group, batch = Group(), torch.rand(4)
    assert group.part(batch) is batch and group.same(3) == 3 and group.most(2, 5) == [2, 5] and group.all("a") == ["a"]
    group.average_([before := batch.clone()])
    assert torch.equal(before, batch) and group.first
    with joined(torch.device("cpu")) as alone, alone.whole_batch_norm():
        assert alone == group


def test_where_the_environment_tells_of_others_one_speaks_and_only_distil_starts(monkeypatch, capsys):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert place() == Place(1, 2, 1, 2)
    assert main(["methods"]) == 2 and capsys.readouterr().err == ""
    monkeypatch.setenv("LOCAL_RANK", "0")  # the first on its machine
    assert main(["methods"]) == 2 and "without torchrun" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert place() == Place()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    save_model(tiny_classifier(), folder)
    return folder


def words(teacher, out, *more):
    return ["akd", "distill", "--teacher", str(teacher), "--out", str(out), *ARGS, "--checkpoint-every", "0.1s", *more]


def torchrun(teacher, out, *more):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    return subprocess.run([*launcher, *words(teacher, out, *more)], capture_output=True, text=True, timeout=300)


def metrics(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def assert_same_end(one, two):
    a, b = (load_model(str(out)).state_dict() for out in (one, two))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert metrics(one) == metrics(two)


def assert_near_end(one, two):
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert a == pytest.approx(b, rel=LOSSES, abs=LOSSES)
    a, b = (load_model(str(out)).state_dict() for out in (one, two))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=WEIGHTS, atol=WEIGHTS)


@pytest.fixture(scope="module")
def straight(teacher, tmp_path_factory):
    """A run of two processes that nothing disturbs."""
    out = tmp_path_factory.mktemp("straight") / "run"
    done = torchrun(teacher, out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == STEPS  # one object, not one of each
    return out


@pytest.mark.slow
def test_two_processes_reach_the_losses_of_one(teacher, straight, tmp_path):
    done = subprocess.run([sys.executable, "-m", *words(teacher, tmp_path / "one")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_near_end(tmp_path / "one", straight)
    assert {p.name for p in straight.iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


@pytest.mark.slow
def test_the_record_covers_every_process(straight):
    record = json.loads((straight / "data_free.json").read_text())
    assert record["data_free"] is True and len(record["other_processes"]) == 1
    assert any("model.safetensors" in name for name in record["other_processes"][0]["opened"]["teacher"])
    assert json.loads((straight / "environment.json").read_text())["processes"] == 2
    assert "1 thread in each of 2 processes" in (straight / "README.md").read_text()


def wait_for(file, children):
    until = time.monotonic() + 60
    while not file.exists() and time.monotonic() < until and all(child.poll() is None for child in children):
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_a_random_moment_it_ends_bitwise_as_if_it_had_not_been(teacher, straight, tmp_path):
    out = tmp_path / "run"
    children = two(words(teacher, out))
    wait_for(out / "checkpoint.pt", children)
    time.sleep(random.uniform(0, 0.5))
    for child in children:
        child.kill()
    ends(children)
    assert all(code == 0 for code, *_ in ends(two(words(teacher, out))))
    assert_same_end(straight, out)


@pytest.mark.slow
def test_asked_to_stop_one_stops_all_and_two_or_one_go_on(teacher, straight, tmp_path):
    out, other = tmp_path / "run", tmp_path / "other"
    children = two(words(teacher, out))
    wait_for(out / "checkpoint.pt", children)
    children[1].send_signal(signal.SIGTERM)
    (first, _, told), (second, _, silent) = ends(children)
    assert (first, second) == (75, 75), (told, silent)
    assert "again to go on" in told and len(told.splitlines()) == 1 and silent == ""
    shutil.copytree(out, other)
    assert all(code == 0 for code, *_ in ends(two(words(teacher, out, "--resume"))))
    assert_same_end(straight, out)
    alone = subprocess.run([sys.executable, "-m", *words(teacher, other, "--resume")], capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    assert_near_end(straight, other)


@pytest.mark.slow
def test_where_one_dies_the_other_ends_with_one_line(teacher, tmp_path):
    out = tmp_path / "run"
    children = two(words(teacher, out, "--set", "steps=100000"))
    wait_for(out / "checkpoint.pt", children)
    children[0].kill()  # the one that the others met at
    code, _, told = ends(children)[1]
    assert code == 1 and "another process" in told and len(told.splitlines()) == 1, told


@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_told_once_at_the_door(teacher, tmp_path):
    (first, _, told), (second, _, silent) = ends(two(words(teacher, tmp_path / "run", "--set", "method.batch_size=15")))
    assert (first, second) == (2, 2) and silent == "" and not (tmp_path / "run").exists()
    assert "method.batch_size=14" in told and len(told.splitlines()) == 1


if __name__ == "__main__":
    checks_together(Path(sys.argv[1]))
