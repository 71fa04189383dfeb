"""Where words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import time

from rich.console import Console

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
