"""akd methods."""

from __future__ import annotations

import argparse
from typing import Any

from akd.console import out

SUMMARY = "list the methods and the ideas that combine with them"


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.catalogue import catalogue
    from akd.tables import ideas_table, methods_table

    told = catalogue()
    if not options.json:
        out.print(methods_table(told["methods"]))
        out.print("passes: through the teacher, forward and backward, for each new image; - before a loss: it is maximised\n")
        out.print(ideas_table(told["ideas"]))
        out.print("akd distill --method METHOD --with IDEA; knobs: --set method.KNOB=VALUE, --set ideas.IDEA.KNOB=VALUE")
    return told
