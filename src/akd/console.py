"""Where words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from akd.place import place

QUIET = place().rank > 0  # of several processes on one run, one speaks


class Terminal(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit for us; the command line has words for this


log = Terminal(stderr=True, highlight=False, soft_wrap=True, quiet=QUIET)
out = Terminal(highlight=False, soft_wrap=True, quiet=QUIET)
SELDOM = 10.0  # seconds


class Seldom:
    """Plain lines on stderr where nobody watches a bar (logs, CI): at most one in SELDOM seconds, none on a terminal."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def say(self, line: str) -> None:
        if not log.is_terminal and time.monotonic() - self.last >= SELDOM:
            self.last = time.monotonic()
            log.print(line, markup=False)


Tell = Callable[[str, float | None], None]


@contextmanager
def working(text: str) -> Iterator[Tell]:
    """While a command works: a bar on stderr, gone afterwards, or lines now and then where there is no terminal.

    The value is to be told what is being done, and how much of it is, in 0..1 (None: that cannot be known).
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=log, transient=True, disable=not log.is_terminal) as bar:
        task, line = bar.add_task(text, total=None), Seldom()

        def tell(text: str, done: float | None) -> None:
            bar.update(task, description=text, total=None if done is None else 1.0, completed=done or 0.0)
            line.say(text if done is None else f"{100 * done:.0f} %  {text}")

        yield tell
