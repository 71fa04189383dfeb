"""Steps that are the same each time: on a GPU captured once, as a CUDA graph, and replayed: one launch for a thousand."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from akd.errors import AkdError, brief

T = TypeVar("T")
WARM_UP = 3
SWITCH = "AKD_CUDA_GRAPHS"


class Repeat(Protocol):
    """`repeat(step, *inputs)` is `step(*inputs)`, for a step that is always the same."""

    def __call__(self, step: Callable[..., T], *inputs: Tensor | float) -> T: ...


def called(step: Callable[..., T], *inputs: Tensor | float) -> T:
    """Replays nothing."""
    return step(*inputs)


class Recorder(Protocol):
    """What captures steps on `device`."""

    device: torch.device

    def aside(self, step: Callable[[], T]) -> tuple[T, bool]:
        """Carry out a step that will be recorded later; and whether the host waited for the device in it."""

    def record(self, step: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """What replays the step, and what the step returns each time; nothing is computed yet."""


class CudaGraphs:
    """Records CUDA graphs."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, _stream(device)

    def aside(self, step: Callable[[], T]) -> tuple[T, bool]:
        # On the stream that will record: autograd and the libraries keep what they set up for a stream.
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream), _waits_told() as told:
            said = step()
        here.wait_stream(self.stream)
        return said, bool(told)

    def record(self, step: Callable[[], T]) -> tuple[Callable[[], None], T]:
        graph = torch.cuda.CUDAGraph()
        try:
            with _nothing_collected(), torch.cuda.device(self.device), torch.cuda.graph(graph, stream=self.stream):
                said = step()
        except RuntimeError as error:  # with what it leaves of the random numbers' state this process cannot go on
            cause = error.__context__ or error
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
            raise AkdError(
                f"a step cannot be captured as a CUDA graph ({brief(cause, 120)}); "
                f"set {SWITCH}=0 in the environment and start the same command again"
            ) from error
        return graph.replay, said


@cache  # each has workspaces of its own, which are never given back
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@contextmanager
def _waits_told() -> Iterator[list[warnings.WarningMessage]]:
    """Warnings of the operations that the host waited for; others are passed on."""
    before, waits = torch.cuda.get_sync_debug_mode(), list[warnings.WarningMessage]()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")  # which warns that it is a prototype
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for one in told:
        if "synchronizing CUDA operation" in str(one.message):
            waits.append(one)
        elif "debug mode is a prototype" not in str(one.message):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A graph that happened to be collected while another is captured would spoil that."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def graphs_wanted(device: torch.device) -> bool:
    """Whether steps on this device are to be replayed: on a GPU, unless the environment says AKD_CUDA_GRAPHS=0."""
    return device.type == "cuda" and os.environ.get(SWITCH, "1") != "0"


class Replayed:
    """Carries out one step time and again: `replayed(step, *inputs)` does what `step(*inputs)` would.

    The first calls run as they are; the next is recorded, and from then on its work is replayed and `step` never called. So
    whatever changes from call to call comes in as an input (a number as a tensor [] in float64), all else that the step reads
    or writes stays alive where it lies, and what is returned holds until the next call. A step in which the host waits for the
    device, as some networks' code does, is told in a warning and goes on being called. AkdError where recording fails.
    """

    def __init__(self, recorder: Recorder):
        self.recorder = recorder
        self.calls = 0
        self.able = True
        self.replay: Callable[[], None] | None = None

    def __call__(self, step: Callable[..., Any], *inputs: Tensor | float) -> Any:
        self.calls += 1
        given = [self._tensor(value) for value in inputs]
        if not self.able:
            return step(*given)
        if self.calls <= WARM_UP:
            said, waited = self.recorder.aside(lambda: step(*given))
            if waited and self.calls > 1:  # in its first call a step may make constants
                self.able = False
                warnings.warn("steps wait for the GPU, so they are not replayed as CUDA graphs, which is slower", stacklevel=2)
            return said
        if self.replay is None:
            self.inputs = [value.clone() for value in given]  # a graph keeps nothing alive
            self.replay, self.said = self.recorder.record(lambda: step(*self.inputs))
        for mine, value in zip(self.inputs, given, strict=True):
            mine.copy_(value)
        self.replay()
        return self.said

    def _tensor(self, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.full((), value, dtype=torch.float64, device=self.recorder.device)
