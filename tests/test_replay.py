"""A replayed step does what the step would. On a CPU a tape stands in for CUDA graphs: it freezes what a graph would freeze."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._pytree import tree_leaves

from akd.loop import Budget, run_loop
from akd.objectives.terms import at
from akd.replay import WARM_UP, CudaGraphs, Replayed, called, graphs_wanted
from akd.runtime import Rng, Runtime, same_shapes
from akd.state import State, floats_of
from akd.wiring import check_wiring
from tests.conftest import tiny_classifier
from tests.test_contract import EACH_METHOD, Waits, fresh_state

CPU = torch.device("cpu")
GPU = [torch.device("cuda")] if torch.cuda.is_available() else []


def storages(tree):
    return {x.untyped_storage().data_ptr() for x in tree_leaves(tree) if isinstance(x, torch.Tensor)}


class Noted(Waits):
    """Every operation, with what it read and what it made. Like a graph being captured it refuses what the host waits for."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = super().__torch_dispatch__(func, types, args, kwargs)
        if self.found:
            raise RuntimeError(f"the host waits for {self.found[0]}")
        self.done.append((func, args, kwargs or {}, made, storages((args, kwargs))))
        return made


class Tape:
    """Operations done again on the memory they were done on, whatever Python would decide by now."""

    device = CPU

    def __init__(self):
        self.replayed = 0

    def aside(self, step):
        with Waits() as waits:
            return step(), bool(waits.found)

    def record(self, step):
        with Noted() as noted:
            said = step()
        first = True

        def replay():
            nonlocal first
            self.replayed += 1
            if not first:  # a tape, unlike a graph, has computed while it was recorded
                self.play(noted.done)
            first = False

        return replay, said

    @staticmethod
    @torch.no_grad()
    def play(done):
        with torch.autocast("cpu", enabled=False):
            for func, args, kwargs, made, read in done:
                again = func(*args, **kwargs)
                for mine, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                    if isinstance(mine, torch.Tensor) and not storages(mine) & read:
                        mine.copy_(new)


def recorder(device):
    return Tape() if device == CPU else CudaGraphs(device)


@dataclass(frozen=True)
class With(Runtime):
    """A runtime whose steps are repeated by `repeats`."""

    repeats: type | None = None

    def repeat(self):
        return self.repeats(recorder(self.device)) if self.repeats else called


class Called(Replayed):
    """Gives steps the same inputs and never replays them."""

    def __init__(self, recorder):
        super().__init__(recorder)
        self.able = False


def after(method, device, repeats, steps=24, dtype=torch.float32):
    """The student's and the maker's numbers after a run."""
    plan = fresh_state(method).plan
    runtime = With(device, dtype, graphs=bool(repeats) and device.type == "cuda", repeats=repeats)
    student = tiny_classifier(seed=1, widths=(4, 6)).requires_grad_()
    state = State(plan, runtime.place(tiny_classifier()), student, runtime, seed=3)
    check_wiring(state)
    with same_shapes():
        for _ in run_loop(state, Budget(steps=steps)):
            pass
    return [torch.cat([x.detach().cpu().flatten() for x in floats_of(network)]) for network in (state.student, state.maker)]


@EACH_METHOD
def test_a_replayed_run_is_the_run(method):
    """Rates, weights of losses, temperatures, random numbers: what changes over a run changes where its steps are replayed."""
    for called_, replayed in zip(after(method, CPU, Called), after(method, CPU, Replayed), strict=True):
        assert torch.equal(called_, replayed)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-10, 10)), min_size=1, max_size=6),
    st.floats(0, 1),
    st.integers(0, 6),
)
def test_a_schedule_is_the_same_on_the_device(course, when, pick):
    course = tuple(sorted(course, key=lambda point: point[0]))
    for moment in (when, course[pick % len(course)][0]):  # also where it jumps
        on_device = at(course, torch.tensor(moment, dtype=torch.float64))
        assert on_device.shape == () and on_device.dtype == torch.float32
        assert on_device.item() == pytest.approx(at(course, moment), rel=1e-6, abs=1e-6)
    assert at(3, torch.tensor(0.5)) == 3.0


def test_inputs_are_new_and_outputs_hold_until_the_next_call():
    tape = Tape()
    replayed, calls = Replayed(tape), []

    def step(x, factor):
        calls.append(factor)
        return {"product": x * factor}

    said = [replayed(step, torch.full((2,), float(i)), 10.0 * i)["product"] for i in range(8)]
    assert [x.tolist()[0] for x in said[:WARM_UP]] == [0.0, 10.0, 40.0]
    assert len(calls) == WARM_UP + 1 and tape.replayed == 8 - WARM_UP
    assert all(x is said[-1] for x in said[WARM_UP:]) and said[-1].tolist() == [490.0, 490.0]
    assert all(factor.dtype == torch.float64 for factor in calls)


@pytest.mark.parametrize("device", [CPU, *GPU], ids=str)
def test_a_step_that_waits_for_the_device_is_called_as_before(device):
    replayed, calls = Replayed(recorder(device)), []

    def step(x):
        calls.append((x + torch.rand(1, device=device) * 0).sum().item())

    def go_on():
        for i in range(8):
            replayed(step, torch.full((1,), float(i), device=device))

    with pytest.warns(UserWarning, match="wait for the GPU") as warned:
        go_on()
    assert len(warned) == 1 and calls == [float(i) for i in range(8)]


def test_constants_may_be_made_in_the_first_call():
    tape = Tape()
    replayed, made = Replayed(tape), []

    def step(x):
        made[:] = made or [torch.tensor(2.0)]
        return x * made[0]

    assert [replayed(step, float(i)).item() for i in range(6)] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert tape.replayed == 6 - WARM_UP


def test_graphs_can_be_switched_off(monkeypatch):
    assert graphs_wanted(torch.device("cuda")) and not graphs_wanted(CPU)
    monkeypatch.setenv("AKD_CUDA_GRAPHS", "0")
    assert not graphs_wanted(torch.device("cuda"))


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@EACH_METHOD
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_graph_takes_the_run_where_the_steps_would(method, dtype):
    """On a GPU some kernels add up in any order: runs part by themselves, and no further where they are replayed."""
    plain, again, replayed = (after(method, GPU[0], repeats, 16, dtype) for repeats in (Called, Called, Replayed))
    for one, two, three in zip(plain, again, replayed, strict=True):
        assert (one - three).norm() < max(0.05 * one.norm(), 3 * (one - two).norm())


@pytest.mark.skipif(not GPU, reason="needs a GPU")
def test_a_graph_draws_anew_and_goes_on_from_the_same_numbers():
    replayed, rng = Replayed(CudaGraphs(GPU[0])), Rng(0, GPU[0])

    def drawn():
        with rng.here():
            return replayed(lambda: torch.rand(4, device=GPU[0])).tolist()

    first = [drawn() for _ in range(8)]
    rng.state = Rng(0, GPU[0]).state
    assert [drawn() for _ in range(8)] == first and len({*map(tuple, first)}) == 8
