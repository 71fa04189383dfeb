"""What may happen to a process while it works: signals, and memory that runs out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from akd.errors import AkdError


@contextmanager
def memory_told() -> Iterator[None]:
    """Out of memory, on whatever device, in one line with a remedy."""
    import torch  # the command line needs this module before anybody waits for torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError; a CPU's allocator has no type
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and "allocate memory" not in str(error):
            raise
        raise AkdError("out of memory; try a smaller --set method.batch_size or method.bank") from error


class Terminated(BaseException):
    """SIGTERM while there is nothing to save: what is half done is cleared away, and the process ends."""


@contextmanager
def termination() -> Iterator[None]:
    """Inside, SIGTERM unwinds like Ctrl-C does, so that no half-written file stays behind; it raises Terminated."""

    def unwind(_signum: int, _frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, unwind)
    except ValueError:  # not the main thread: signals are the caller's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Signals asked of us, noted instead of obeyed at once, so that the state can be saved first."""
    asked: list[int] = []

    def note(signum: int, _frame: FrameType | None) -> None:
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C means now
        asked.append(signum)

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}
    except ValueError:  # not the main thread: signals are the caller's business
        before = {}
    try:
        yield asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
