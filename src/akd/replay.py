"""Steps that are the same each time: on a GPU captured once, as a CUDA graph, and replayed: one launch for a thousand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from akd.errors import brief

T = TypeVar("T")
WARM_UP = 3


class Repeat(Protocol):
    """`repeat(step, *inputs)` is `step(*inputs)`, for a step that is always the same."""

    def __call__(self, step: Callable[..., T], *inputs: Tensor | float) -> T: ...


def called(step: Callable[..., T], *inputs: Tensor | float) -> T:
    """Replays nothing."""
    return step(*inputs)


class Recorder(Protocol):
    """What captures steps on `device`."""

    device: torch.device

    def aside(self, step: Callable[[], T]) -> T:
        """Carry out a step that will be recorded later."""

    def record(self, step: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """What replays the step, and what the step returns each time; nothing is computed yet."""


class CudaGraphs:
    """Records CUDA graphs."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device)

    def aside(self, step: Callable[[], T]) -> T:
        # On the stream that will record: autograd and the libraries keep what they set up for a stream.
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            said = step()
        here.wait_stream(self.stream)
        return said

    def record(self, step: Callable[[], T]) -> tuple[Callable[[], None], T]:
        graph = torch.cuda.CUDAGraph()
        # The stream once more around: where recording fails, torch.cuda.graph leaves it set.
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream), torch.cuda.graph(graph, stream=self.stream):
            said = step()
        return graph.replay, said


class Replayed:
    """Carries out one step time and again: `replayed(step, *inputs)` does what `step(*inputs)` would.

    The first calls run as they are; the next is recorded, and from then on its work is replayed and `step` never called. So
    whatever changes from call to call comes in as an input (a number as a tensor [] in float64), weights and buffers stay
    where they lie, and what is returned holds until the next call. A step that cannot be recorded, for one of its networks'
    code waits for the device, is told in a warning and goes on being called.
    """

    def __init__(self, recorder: Recorder):
        self.recorder = recorder
        self.calls = 0
        self.able = True
        self.replay: Callable[[], None] | None = None

    def __call__(self, step: Callable[..., Any], *inputs: Tensor | float) -> Any:
        self.calls += 1
        if self.replay is None and self.able and self.calls > WARM_UP:
            self._record(step, inputs)
        if self.replay is None:
            given = [self._tensor(value) for value in inputs]
            return self.recorder.aside(lambda: step(*given))
        for mine, value in zip(self.inputs, inputs, strict=True):
            mine.copy_(value) if isinstance(value, Tensor) else mine.fill_(value)
        self.replay()
        return self.said

    def _record(self, step: Callable[..., Any], inputs: tuple[Tensor | float, ...]) -> None:
        self.step, self.inputs = step, [self._tensor(value).clone() for value in inputs]  # a graph keeps nothing alive
        try:
            self.replay, self.said = self.recorder.record(lambda: step(*self.inputs))
        except RuntimeError as error:
            self.able = False
            warnings.warn(f"steps are not replayed as CUDA graphs, which is slower ({brief(error, 80)})", stacklevel=3)

    def _tensor(self, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.full((), value, dtype=torch.float64, device=self.recorder.device)
