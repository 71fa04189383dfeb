"""Several `akd` commands side by side, each a process of its own: one that distils never had the data in its memory."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from akd.errors import AkdError, Stopped

POLL = 0.3
STOPPED = (75, 143)  # `akd`'s exit codes after SIGTERM


@dataclass(frozen=True)
class Job:
    """Arguments of `akd`; its words go to `log`, which is removed where all went well."""

    arguments: tuple[str, ...]
    log: Path


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "wb") as words:  # a pipe nobody reads would fill
        command = [sys.executable, "-m", "akd", *job.arguments, "--json"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, preexec_fn=_end_with_parent)


def _end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies, however it dies: no orphan goes on in the run folder (Linux)."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _stop(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped("stopped; start the same command again to go on")


def run_together(
    jobs: Sequence[Job],
    at_once: int,
    look: Callable[[], None] = lambda: None,
    forgiven: Callable[[Job], bool] = lambda job: False,
) -> None:
    """Run all jobs, `at_once` at a time, calling `look` now and then. AkdError with a child's own words where one fails that is
    not `forgiven`; the others are then asked to stop, as all are where this process is."""
    waiting, running = list(jobs), dict[Job, subprocess.Popen[bytes]]()
    codes: dict[Job, int] = {}
    handler = signal.signal(signal.SIGTERM, _stop)
    try:
        while (waiting or running) and not any(codes.values()):
            while waiting and len(running) < at_once:
                running[waiting[0]] = _start(waiting[0])
                waiting.pop(0)
            time.sleep(POLL)
            look()
            for job in [job for job, child in running.items() if child.poll() is not None]:
                code = running.pop(job).returncode
                codes[job] = 0 if code and forgiven(job) else code
    finally:
        for child in running.values():
            child.terminate()
        codes |= {job: child.wait() for job, child in running.items()}
        signal.signal(signal.SIGTERM, handler)
    # A child that failed of itself is told before one that was stopped because the other failed.
    for job, code in sorted(codes.items(), key=lambda row: row[1] not in STOPPED, reverse=True):
        words = job.log.read_text(errors="replace").strip().splitlines()
        if code:
            raise AkdError(words[-1].removeprefix("akd: ") if words else f"akd {job.arguments[0]} ended with code {code}")
        job.log.unlink()
    look()
