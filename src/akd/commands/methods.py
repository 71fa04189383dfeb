"""akd methods."""

from __future__ import annotations

import argparse
from typing import Any

from akd.console import out

SUMMARY = "list the methods, the ideas that combine with them, and the recipes"
EXAMPLES = """\
akd methods
akd methods --json"""


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.catalogue import catalogue
    from akd.tables import ideas_table, methods_table, recipes_table

    told = catalogue()
    if not options.json:
        out.print(methods_table(told["methods"]))
        out.print("passes: through the teacher, forward and backward, for each new image; - before a loss: it is maximised\n")
        out.print(ideas_table(told["ideas"]))
        out.print("akd distill --method METHOD --with IDEA; knobs: --set method.KNOB=VALUE, --set ideas.IDEA.KNOB=VALUE\n")
        out.print(recipes_table(told["recipes"]))
        out.print(
            "akd distill --recipe RECIPE --teacher SOURCE --out DIR; all of it: akd distill --recipe RECIPE --print-config"
        )
    return told
