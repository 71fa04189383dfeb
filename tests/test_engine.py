"""What the engine is measured against is right: the literal loops compute akd's losses, and the floor counts what there is."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from engine import check_same_losses, classifier, engine  # noqa: E402
from floor import Counted, Work, bandwidth, floor, matrix_rate, peak_memory  # noqa: E402
from literal import LOOPS, Game  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from akd.eyes import Eyes  # noqa: E402
from akd.loop import student_step  # noqa: E402
from akd.methods import METHODS  # noqa: E402
from akd.runtime import Runtime  # noqa: E402
from akd.state import State  # noqa: E402
from akd.synthesis.maker import Batch  # noqa: E402
from akd.synthesis.pictures import pictures  # noqa: E402

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES, ids=str)
def game(request):
    torch.manual_seed(0)
    teacher, student = classifier("resnet20", 10).freeze().to(request.param), classifier("resnet20", 10).to(request.param)
    return Game(teacher, student, (3, 32, 32), 10, 8, 8, 2, 3, request.param, mixed=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", LOOPS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2)])
def test_the_literal_loops_compute_the_losses_of_akd(game, method, dtype, tolerance):
    check_same_losses(replace(game, mixed=dtype != torch.float32), method, Runtime(game.device, dtype), tolerance)


def test_another_loss_is_noticed(game, monkeypatch):
    monkeypatch.setattr("literal.BN", 9.0)
    with pytest.raises(AssertionError, match=r"fast.*image loss"):
        check_same_losses(game, "fast", Runtime(game.device), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-2), (torch.bfloat16, 0.1)])
def test_the_fast_way_takes_the_student_where_the_plain_way_does(game, dtype, tolerance):
    """Five steps on the same images: the teacher folded, in `dtype` under autocast, channels last, against none of that.

    The tolerance is a share of the way that the student's weights went.
    """
    plan = replace(METHODS["akd"](batch_size=32).plan(game.student.card), views=())
    moved = []
    for plain in (True, False):
        runtime = Runtime(game.device, torch.float32 if plain else dtype)
        teacher = copy.deepcopy(game.teacher)
        state = State(plan, teacher if plain else runtime.place(teacher), copy.deepcopy(game.student), runtime, 0)
        if plain:
            state.folded = state.teacher
            state.student.to(memory_format=torch.contiguous_format)
        before = torch.cat([p.detach().flatten().clone() for p in state.student.parameters()])
        torch.manual_seed(0)
        shown = pictures(5 * 32, game.student.card, game.device).split(32)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for images in shown:
                student_step(
                    Eyes(state, plan.student), Batch(images, torch.zeros(32, dtype=torch.int64, device=game.device)), 0.0
                )
        moved.append(torch.cat([p.detach().flatten() for p in state.student.parameters()]) - before)
    assert (moved[0] - moved[1]).norm() < tolerance * moved[0].norm()


@pytest.mark.parametrize("method", LOOPS)
def test_a_round_moves_the_student_and_leaves_the_teacher(game, method):
    before = [[x.clone() for x in network.state_dict().values()] for network in (game.teacher, game.student)]
    next(LOOPS[method](game))
    after = [list(network.state_dict().values()) for network in (game.teacher, game.student)]
    same = [all(torch.equal(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(before, after, strict=True)]
    assert same == [True, False]
    assert not any(m._forward_hooks for m in game.teacher.modules())


@pytest.mark.slow
@pytest.mark.parametrize("method", LOOPS)
def test_a_round_of_akd_is_as_long(game, method):
    """Every round as the one before, also where a maker hands over the turn before its batch is done."""
    game = replace(game, batch=4, images=4, generator_steps=1 if method == "dfad" else 12, student_steps=2)
    seen = {}
    for name, call in (("akd", engine(game, method, Runtime(game.device))), ("literal", LOOPS[method](game).__next__)):
        call()  # what is made once
        for _ in range(2):
            with Counted() as counted:
                call()
            seen.setdefault(name, []).append(sum(work.flops for work in counted.work))
    assert seen["akd"][0] == seen["akd"][1] and seen["literal"][0] == seen["literal"][1]
    # The literal one also computes gradients that nobody reads: of the student's weights while images are sought.
    assert 0.5 * seen["literal"][1] < seen["akd"][1] <= seen["literal"][1]


def test_operations_and_bytes_of_a_convolution():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with Counted() as counted:
        conv(x).sum().backward()
    forward, backward = counted.work
    assert forward == Work(2 * 2 * 5 * 64 * 27, 4 * (x.numel() + conv.weight.numel() + 2 * 5 * 64))
    assert backward.flops == 2 * forward.flops
    with FlopCounterMode(display=False) as oracle:
        conv(x).sum().backward()
    assert oracle.get_total_flops() == sum(work.flops for work in counted.work)


def test_the_floor_takes_the_longer_of_each():
    assert floor([Work(10, 1), Work(1, 10)], matrix_rate=10, bandwidth=5) == 1 + 2


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_what_is_measured_is_of_this_world(device):
    assert 1e8 < matrix_rate(device, torch.float32, 128) < 1e16
    assert 1e7 < bandwidth(device, 1 << 22) < 1e14
    peak, by = peak_memory(lambda: torch.ones(1 << 25, device=device).add(1).sum().item(), device)
    assert (peak is None and not by) or 2e8 < peak < 4e8  # two tensors of 128 MiB


@pytest.mark.slow
def test_the_bench_prints_a_line_for_each_contestant():
    small = ["--teacher", "vgg8", "--student", "vgg8", "--batch", "4", "--methods", "dfad", "--seconds", "0", "--dry"]
    command = [sys.executable, ROOT / "bench" / "engine.py", *small, "--device", "cpu", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(r["loop"], r["precision"]) for r in lines} >= {("akd", "float32"), ("literal", "float32")}
    for r in lines:
        assert r["slowest"] <= r["steps_per_second"] <= r["fastest"] and r["rounds"] >= 3
        assert r["share_of_floor"] > 0 and r["device"] and r["torch"] and r["commit"]
