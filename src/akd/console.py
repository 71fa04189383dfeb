"""Where words go: results to stdout, everything else to stderr."""

from rich.console import Console

log = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)
