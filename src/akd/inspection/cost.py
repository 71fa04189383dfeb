"""What a student step takes on this device: real steps of a method as in the middle of a run, timed, not modelled."""

from __future__ import annotations

import copy
import gc
import io
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from akd.loop import Budget, Report, run_loop
from akd.methods import Method, Plan
from akd.networks.classifier import Classifier
from akd.runtime import Runtime, same_shapes
from akd.state import State
from akd.synthesis.bank import Bank
from akd.wiring import check_wiring

LEAST, GROWTH = 2, 8  # images in the first trial, and how many times more in the next
PATIENCE = 20.0  # seconds that the next trial may be expected to take
MEASURED, ENOUGH = 5.0, 40  # seconds, or student steps, after which a measurement ends
MIDDLE = 1000  # a step at which a run does nothing for the first time


@dataclass(frozen=True)
class Cost:
    """`seconds_per_step`: of a student step with its share of the maker's turns, over `steps` steps.

    Measured with `batch` images: the method's own `method_batch`, or fewer where that would have taken too long or too much
    memory, and then both are scaled up in proportion. peak_bytes: the most that the process holds (on a GPU: that torch
    holds there), with full banks and a checkpoint in the making.
    """

    seconds_per_step: float
    peak_bytes: int
    steps: int
    batch: int
    method_batch: int


@same_shapes()
def measure_steps(
    method: Method,
    teacher: Classifier,
    student: Classifier,
    runtime: Runtime,
    say: Callable[[str], None] = lambda doing: None,
) -> Cost:
    """Time `method` for some seconds, after the self-test that every run begins with (WiringError where it fails)."""
    plan = method.plan(teacher.card)
    # What a GPU takes hardly depends on the batch, and it says itself when its memory is spent.
    batch = plan.batch_size if runtime.device.type == "cuda" else min(LEAST, plan.batch_size)
    check_wiring(State(replace(plan, batch_size=batch), teacher, copy.deepcopy(student), runtime, seed=0))
    held = _reset_peak(runtime)
    say(f"trying steps of {method.name} with {batch} images")
    trial = _Trial(plan, teacher, student, runtime, batch)
    took = trial.cycle()
    each = (_peak(runtime) - held) / batch
    while batch < plan.batch_size:
        larger = min(GROWTH * batch, plan.batch_size)
        too_slow = took * larger / batch > PATIENCE
        if too_slow or each * larger > _free(runtime):
            break
        say(f"trying steps of {method.name} with {larger} images")
        before = _peak(runtime)
        trial = _Trial(plan, teacher, student, runtime, larger)
        took = trial.cycle()
        each, batch = (_peak(runtime) - before) / (larger - batch), larger
    say(f"timing steps of {method.name} with {batch} images")
    seconds, steps = trial.measured()
    peak = _peak(runtime) + each * (plan.batch_size - batch)
    return Cost(seconds / steps * plan.batch_size / batch, round(peak), steps, batch, plan.batch_size)


class _Trial:
    """A run from its middle on, with `batch` images at a time and full banks."""

    def __init__(self, plan: Plan, teacher: Classifier, student: Classifier, runtime: Runtime, batch: int):
        self.state = State(replace(plan, batch_size=batch), teacher, copy.deepcopy(student), runtime, seed=0)
        self.state.step = MIDDLE
        self.loop: Iterator[Report | None] = run_loop(self.state, Budget(steps=2 * MIDDLE))

    def cycle(self) -> float:
        """Seconds of one turn of the maker and the student steps behind it."""
        first, began = self.state.step, time.monotonic()
        while self.state.step == first or self.state.left:
            next(self.loop)
        if self.state.runtime.device.type == "cuda":
            torch.cuda.synchronize(self.state.runtime.device)
        return time.monotonic() - began

    def measured(self) -> tuple[float, int]:
        """Seconds and student steps of cycles until there are enough, and a checkpoint, as a run writes it.

        Seconds as if all cycles had taken the median's: one in which a step is captured for replay says nothing of a run.
        """
        with self.state.rng.here():
            for bank in (self.state.bank, self.state.pictures):
                _fill(bank)
        _reset_peak(self.state.runtime)
        first, start = self.state.step, copy.deepcopy(self.state.state_dict())  # as the self-test at a run's start holds it
        took = [self.cycle()]
        del start
        while sum(took) < MEASURED and self.state.step - first < ENOUGH:
            took.append(self.cycle())
        torch.save(self.state.state_dict(), io.BytesIO())
        return statistics.median(took) * len(took), self.state.step - first


def _fill(bank: Bank | None) -> None:
    while bank is not None and len(bank) < bank.capacity:
        images = torch.rand(min(256, bank.capacity), *bank.images.shape[1:], device=bank.images.device)
        bank.add(images, torch.zeros(len(images), dtype=torch.int64, device=images.device))


def _reset_peak(runtime: Runtime) -> int:
    """Forget the peak, where the system lets us; what is held now, in bytes."""
    if runtime.device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(runtime.device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    return _peak(runtime)


def _peak(runtime: Runtime) -> int:
    """The most bytes held since the peak was forgotten: by torch on a GPU, else by this process."""
    if runtime.device.type == "cuda":
        return torch.cuda.max_memory_reserved(runtime.device)  # what a replayed step works on is not allocated anew
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _free(runtime: Runtime) -> float:
    """Bytes that can be had without harm to others; infinite where the system does not tell."""
    if runtime.device.type == "cuda":
        return torch.cuda.mem_get_info(runtime.device)[0]
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    return float("inf")
