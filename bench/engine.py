"""akd's loop, literal PyTorch loops of the same methods, and the machine's floor: side by side, in one run.

    python bench/engine.py                                    about six minutes on two idle cores
    python bench/engine.py --teacher resnet34 --student resnet18 --batch 256 --share 0.1      on a GPU

For each method: a round of generator steps and their student steps, by akd and by bench/literal.py, each in float32 and,
where the machine computes in it, in bfloat16. First both must compute the same losses on one batch. Then the contestants take
turns, so that a drift of the machine's speed meets all; medians are reported. akd's report (every 50 steps, on the probe) is
left out by the median where rounds are shorter. What the floor is stands in bench/floor.py. Appends a line for each contestant
to results/engine.jsonl, from which the README's table is made; a method that has its lines there, of this commit, machine,
pair of networks and rounds, is not measured again, so that the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from floor import Counted, Work, bandwidth, floor, graph_memory, matrix_rate, peak_memory, timed
from literal import LOOPS, Game, Statistics, discrepancy, image_loss, imitation
from record import append, commit, recorded

from akd.errors import Diverged
from akd.eyes import Eyes
from akd.loop import Budget, judge_images, run_loop, student_step
from akd.methods import METHODS
from akd.networks import zoo
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.taps import batch_norms
from akd.replay import WARM_UP
from akd.runfolder import environment
from akd.runtime import Runtime, make_runtime, set_threads
from akd.state import State
from akd.synthesis.maker import Batch
from akd.synthesis.pictures import pictures

PUBLISHED = {"dfad": (1, 5), "fast": (5, 400), "nayer": (40, 200)}  # generator and student steps a round
LEAST_ROUNDS = 3
SIZE = (3, 32, 32)
Line = dict[str, Any]


@dataclass
class Contestant:
    """A loop in a precision: `round` does its generator steps and its student steps."""

    loop: str
    runtime: Runtime
    round: Callable[[], None]


def classifier(arch: str, classes: int) -> Classifier:
    """Random weights, BatchNorm statistics of pictures: speed does not depend on more, and nothing overflows."""
    card = ModelCard(arch, classes, (0.5,) * 3, (0.25,) * 3, SIZE)
    made = Classifier(zoo.build(arch, classes, SIZE), card).train()
    momenta = {norm: norm.momentum for norm in batch_norms(made)}
    with torch.no_grad():
        for norm in momenta:
            norm.momentum = 1.0
        made(pictures(32, card))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    return made


def plan_of(game: Game, method: str) -> Any:
    """The method's plan at its own constants, its rounds as long and its batches as large as the game's."""
    knobs = {"batch_size": game.batch, "student_steps": game.student_steps}
    own = {
        "dfad": {},
        "fast": {"generator_steps": game.generator_steps, "warmup_rounds": 1},
        "nayer": {"generator_steps": game.generator_steps, "images": game.images},
    }
    return METHODS[method](**knobs, **own[method]).plan(game.student.card)


def engine(game: Game, method: str, runtime: Runtime) -> Callable[[], None]:
    """A call of it is a round of akd's loop, from a turn of the maker to its last student step."""
    plan, teacher = plan_of(game, method), runtime.place(game.teacher)

    def rounds() -> Iterator[None]:
        state = State(plan, teacher, copy.deepcopy(game.student), runtime, 0)
        until = game.student_steps
        for _ in run_loop(state, Budget(steps=10**9)):
            if state.step == until:
                until += game.student_steps
                yield

    def round_() -> None:
        nonlocal going
        try:
            next(going)
        except Diverged:  # a student of random teachers may; the median knows nothing of the round that starts anew
            going = rounds()
            next(going)

    going = rounds()
    return round_


def literal(game: Game, method: str) -> Callable[[], None]:
    loop = LOOPS[method](game)
    return lambda: next(loop)


def check_same_losses(game: Game, method: str, runtime: Runtime, tolerance: float) -> None:
    """AssertionError where, on one batch, akd's image loss or student's loss is not the literal one. Without TF32, in which a
    folded teacher and one as it is differ."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        _check_same_losses(game, method, runtime, tolerance)


def _check_same_losses(game: Game, method: str, runtime: Runtime, tolerance: float) -> None:
    plan = replace(plan_of(game, method), jitter=None, views=())
    plain = replace(game, teacher=copy.deepcopy(game.teacher), student=copy.deepcopy(game.student))
    state = State(plan, runtime.place(copy.deepcopy(game.teacher)), copy.deepcopy(game.student), runtime, 0)
    images = pictures(game.batch, game.student.card, game.device)
    batch = Batch(images, torch.arange(len(images), device=game.device) % game.classes)
    ours = [judge_images(Eyes(state, plan.image), batch, 0.0)[0]]
    ours.append(student_step(Eyes(state, plan.student), batch, 0.0)["student"])
    plain.student.eval()
    if method == "dfad":
        theirs = [-discrepancy(plain, images), discrepancy(replace(plain, student=plain.student.train()), images)]
    else:
        statistics_ = Statistics(plain.teacher)
        theirs = [image_loss(plain, statistics_, images, batch.labels)]
        statistics_.close()
        plain.student.train()
        theirs.append(imitation(plain, images))
    for what, a, b in zip(("image loss", "student's loss"), ours, theirs, strict=True):
        if not torch.isclose(a, b, rtol=tolerance, atol=tolerance):
            raise AssertionError(f"{method}, {runtime.dtype}: akd's {what} is {a.item():.6g}, the literal one {b.item():.6g}")


def contestants(game: Game, method: str, runtimes: list[Runtime]) -> list[Contestant]:
    made = []
    for runtime in runtimes:
        mixed = runtime.dtype != torch.float32
        check_same_losses(replace(game, mixed=mixed), method, runtime, tolerance=5e-2 if mixed else 1e-3)
        for loop in ("akd", "literal"):
            own = replace(game, mixed=mixed, teacher=copy.deepcopy(game.teacher), student=copy.deepcopy(game.student))
            round_ = engine(own, method, runtime) if loop == "akd" else literal(own, method)
            made.append(Contestant(loop, runtime, round_))
    return made


def work_of(game: Game, method: str, runtime: Runtime) -> list[Work]:
    """What a round of akd's computes, counted as it is launched: in what is replayed there is nothing to see."""
    own = replace(game, teacher=copy.deepcopy(game.teacher), student=copy.deepcopy(game.student))
    with Counted() as counted:
        engine(own, method, replace(runtime, graphs=False))()
    return counted.work


def compared(
    field: list[Contestant],
    work: dict[torch.dtype, list[Work]],
    steps: int,
    seconds: float,
    rates: dict[torch.dtype, float],
    copied: float,
) -> list[Line]:
    """What there is to tell of each: a round weighed, then rounds in turn until the time is up."""
    device, told = field[0].runtime.device, []
    for one in field:
        before = graph_memory(device)
        for _ in range(1 + WARM_UP * one.runtime.graphs):
            one.round()
        graphs = graph_memory(device) - before
        peak, by = peak_memory(one.round, device)  # not of the first round, in which akd's whole bank comes to be
        told.append({"loop": one.loop, "peak_bytes": None if peak is None else peak + graphs, "peak_by": by})
    took: list[list[float]] = [[] for _ in field]
    began = time.monotonic()
    while len(took[0]) < LEAST_ROUNDS or time.monotonic() - began < seconds:
        for one, times in zip(field, took, strict=True):
            times.append(timed(one.round, device))
    middle = {(one.loop, one.runtime.dtype): statistics.median(times) for one, times in zip(field, took, strict=True)}
    for one, times, line in zip(field, took, told, strict=True):
        dtype = one.runtime.dtype
        mine, least = middle[one.loop, dtype], floor(work[dtype], rates[dtype], copied)
        line |= {"rounds": len(times), "steps_per_second": steps / mine}
        line |= {"slowest": steps / max(times), "fastest": steps / min(times)}
        line |= {"over_float32": middle["literal", torch.float32] / mine, "over_same": middle["literal", dtype] / mine}
        line |= {"floor_seconds": least, "share_of_floor": least / mine}
        line |= {"teraflops": sum(w.flops for w in work[dtype]) / 1e12, "gigabytes": sum(w.bytes for w in work[dtype]) / 1e9}
        line |= {"matrix_teraflops": rates[dtype] / 1e12, "copy_gigabytes": copied / 1e9}
    return told


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--teacher", default="resnet56")
    p.add_argument("--student", default="resnet20")
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--methods", nargs="+", choices=LOOPS, default=list(LOOPS))
    p.add_argument("--share", type=float, default=0.025, help="of a published round, at least a step of either kind; 1: all")
    p.add_argument("--seconds", type=float, default=180, help=f"of rounds in all; {LEAST_ROUNDS} rounds at least")
    p.add_argument("--device", default="auto")
    p.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="fp32: nothing else is timed")
    p.add_argument("--threads", type=int)
    p.add_argument("--dry", action="store_true", help="print the lines, record none")
    return p.parse_args()


def main() -> None:
    a = options()
    set_threads(a.threads)
    torch.backends.cudnn.benchmark = True  # for both sides, as in a run of akd and in the authors' code
    best = make_runtime(a.device, a.precision)
    device = best.device
    runtimes = [replace(best, dtype=torch.float32), *([best] if best.dtype != torch.float32 else [])]
    torch.manual_seed(0)
    teacher, student = classifier(a.teacher, a.classes).freeze().to(device), classifier(a.student, a.classes).to(device)
    here = environment(best)
    place = {**{key: here[key] for key in ("device", "threads", "torch")}, "commit": commit()}
    rates = {runtime.dtype: matrix_rate(device, runtime.dtype) for runtime in runtimes}
    copied = bandwidth(device)
    for method in a.methods:
        # DFAD's round is short; of the others a share, generator and student alike as far as whole steps allow.
        generator_steps, student_steps = PUBLISHED[method]
        if method != "dfad":
            generator_steps, student_steps = (max(1, round(a.share * steps)) for steps in PUBLISHED[method])
        images = a.batch * 25 // 32 if method == "nayer" else a.batch  # 400 of 512
        game = Game(
            teacher, student, SIZE, a.classes, a.batch, max(2, images), generator_steps, student_steps, device, mixed=False
        )
        what = {"method": method, "teacher": a.teacher, "student": a.student, "batch": a.batch}
        what |= {"generator_steps": generator_steps, "student_steps": student_steps}
        known = [line for line in recorded("engine") if {**what, **place}.items() <= line.items()]
        if len(known) >= 2 * len(runtimes) and not a.dry:
            continue
        field = contestants(game, method, runtimes)
        work = {runtime.dtype: work_of(game, method, runtime) for runtime in runtimes}
        seconds = a.seconds / len(a.methods)
        for one, line in zip(field, compared(field, work, student_steps, seconds, rates, copied), strict=True):
            rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in line.items()}
            append("engine", {**what, **rounded}, environment(one.runtime), dry=a.dry)


if __name__ == "__main__":
    main()
