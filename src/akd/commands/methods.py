"""akd methods."""

from __future__ import annotations

import argparse
from typing import Any

from akd.console import out

SUMMARY = "list the methods"


def add_options(parser: argparse.ArgumentParser) -> None:
    pass


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.methods import METHODS
    from akd.tables import methods_table

    rows = {name: {"paper": m.paper, "needs_batch_norm": m.needs_batch_norm} for name, m in METHODS.items()}
    if not options.json:
        out.print(methods_table(METHODS))
    return rows
