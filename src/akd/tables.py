"""Results as tables for people: without lines, so that they fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from akd.methods import Method
from akd.networks.design import Design

UNITS = {
    "n": "test images",
    "top1": "top-1 accuracy, %",
    "top5": "top-5 accuracy, %",
    "ece": "expected calibration error, %",
    "nll": "negative log-likelihood, nats",
    "params": "parameters",
    "macs": "multiply-adds an image",
    "latency_ms": "latency, ms an image on this CPU",
    "agreement": "agreement with the teacher, %",
    "mean_kl": "KL from the teacher, nats",
    "teacher_top1": "teacher's top-1 accuracy, %",
}


def table_of(title: str, *columns: str, left: int = 1) -> Table:
    """A table without lines, so that it fits 80 columns; the first `left` columns are words, the rest numbers."""
    table = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0), title_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right", no_wrap=i >= left)
    return table


def short(count: int) -> str:
    """2133604 -> '2.134M'."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g}{unit}"
    return str(count)


def quickstart_table(result: Mapping[str, Any]) -> Table:
    title = "digits: distilled without data, measured on held-out digits"
    table = table_of(title, "", "params", "of teacher", "MACs", "accuracy", "agreement", "s")
    for name, row in [("teacher", result["teacher"]), *((f"student {s['budget']}", s) for s in result["students"])]:
        agreement = f"{row['agreement']:.1f} %" if "agreement" in row else ""
        share, accuracy = f"{100 * row['ratio']:.1f} %", f"{row['accuracy']:.1f} %"
        table.add_row(name, short(row["params"]), share, short(row["macs"]), accuracy, agreement, f"{row['seconds']:.0f}")
    return table


def evaluation_table(title: str, result: Mapping[str, Any]) -> Table:
    table = table_of(title, "", "")
    for name, value in result.items():
        if name in UNITS and value is not None:
            table.add_row(UNITS[name], f"{value:,.2f}" if isinstance(value, float) else f"{value:,}")
    return table


def attack_table(attacked: Mapping[str, Mapping[str, Any]]) -> Table:
    table = table_of("", "", "clean", "under attack")
    for name, row in attacked.items():
        table.add_row(name, f"{row['clean']:.2f} %", f"{row['robust']:.2f} %")
    return table


def attack_conditions(how: Mapping[str, Any], test_images: int) -> str:
    """What was done to how many images, in a sentence."""
    spread = ", spread over the set" if how["images"] < test_images else ""
    far, step = f"{255 * how['epsilon']:.3g}/255", f"{255 * how['step_size']:.3g}/255"
    return (
        f"PGD-{how['steps']} on {how['images']:,} of {test_images:,} test images{spread}: each pixel in 0..1 moved by at most "
        f"{far}, in steps of {step} from a random start (seed {how['seed']}), each network by its own gradient"
    )


def design_table(title: str, found: Design) -> Table:
    table = table_of(title, "", "network", "widths", "depth", "params", "of teacher", "MACs", "ms", left=3)
    for c in found.candidates:
        sizes = short(c.params), f"{100 * c.ratio:.2f} %", short(c.macs), f"{c.latency_ms:.2f}"
        table.add_row("*" if c == found.chosen else "", c.architecture, c.width, str(c.depth), *sizes)
    return table


def methods_table(methods: Mapping[str, type[Method]]) -> Table:
    table = table_of("", "method", "BatchNorm", "what it does", left=3)
    for name, method in methods.items():
        summary = (method.__doc__ or "").strip().splitlines()[0]
        table.add_row(name, "needed" if method.needs_batch_norm else "", f"{summary} ({method.paper})")
    return table
