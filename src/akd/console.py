"""Where words go: results to stdout, everything else to stderr."""

from rich.console import Console

from akd.parallel import place

QUIET = place().rank > 0  # of several processes on one run, one speaks
log = Console(stderr=True, highlight=False, soft_wrap=True, quiet=QUIET)
out = Console(highlight=False, soft_wrap=True, quiet=QUIET)
