"""Results as tables for people: without lines, so that they fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from akd.networks.design import Design

if TYPE_CHECKING:  # what is exported, and with what, is of no concern to the other tables
    from akd.delivery.export import Export

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
        table.add_column(column, justify="left" if i < left else "right", no_wrap=i >= left, overflow="fold")
    return table


def quickstart_table(result: Mapping[str, Any]) -> Table:
    title = "digits: distilled without data, measured on held-out digits"
    table = table_of(title, "", "params", "of teacher", "MACs", "accuracy", "agreement", "s")
    for name, row in [("teacher", result["teacher"]), *((f"student {s['budget']}", s) for s in result["students"])]:
        agreement = f"{row['agreement']:.1f} %" if "agreement" in row else ""
        share, accuracy = f"{100 * row['ratio']:.1f} %", f"{row['accuracy']:.1f} %"
        sizes = f"{row['params']:,}", share, f"{row['macs']:,}"
        table.add_row(name, *sizes, accuracy, agreement, f"{row['seconds']:.0f}")
    return table


def evaluation_table(title: str, result: Mapping[str, Any]) -> Table:
    table = table_of(title, "", "")
    for name, value in result.items():
        if name in UNITS and value is not None:
            table.add_row(UNITS[name], f"{value:,.2f}" if isinstance(value, float) else f"{value:,}")
    return table


def export_table(done: Export) -> Table:
    """The student in PyTorch, and each file beside it."""
    tested = "test" in done.compared
    columns = ["synthetic\nmax diff", "\nagree %", *(["test\nmax diff", "\nagree %", "\naccur. %"] if tested else [])]
    table = table_of(f"exported to {done.out}", "\nformat", "\nkB", *columns, "\nms")
    for row in done.rows:
        cells = [row.format + " (NOT KEPT)" * bool(row.problem), "" if row.bytes is None else f"{row.bytes / 1e3:,.0f}"]
        for kind in done.compared:
            match = row.matches.get(kind)
            same = match is None or row.format == "student"
            cells += ["", ""] if match is None or same else [f"{match.difference:.1e}", f"{match.agreement:.1f}"]
            if kind == "test":
                cells.append("" if match is None or match.accuracy is None else f"{match.accuracy:.2f}")
        table.add_row(*cells, "" if row.latency_ms is None else f"{row.latency_ms:.3f}")
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
    table = table_of(title, "", "network", "widths", "depth", "params", "ratio", "MACs", "ms", left=3)
    for c in found.candidates:
        sizes = f"{c.params:,}", f"{100 * c.ratio:.2f} %", f"{c.macs:,}", f"{c.latency_ms:.3g}"
        table.add_row("*" if c == found.chosen else "", c.architecture, c.width, str(c.depth), *sizes)
    return table


def methods_table(methods: Mapping[str, Mapping[str, Any]]) -> Table:
    table = table_of("", "method", "passes", "what it does", left=1)
    table.columns[2].justify, table.columns[2].no_wrap = "left", False
    for name, told in methods.items():
        losses = f"images: {' '.join(told['image']) or 'none'}; student: {' '.join(told['student'])}"
        needs = f"needs {', '.join(told['needs'])}; " if told["needs"] else ""
        table.add_row(name, str(told["passes_per_image"]), f"{told['summary']} ({told['paper']})\n[dim]{needs}{losses}[/dim]")
    return table


def ideas_table(ideas: Mapping[str, Mapping[str, Any]]) -> Table:
    table = table_of("", "idea", "what it adds", left=2)
    table.columns[1].no_wrap = False
    for name, told in ideas.items():
        table.add_row(name, f"{told['summary']} ({told['paper']})")
    return table


def recipes_table(recipes: Mapping[str, str]) -> Table:
    table = table_of("", "recipe", "what it is for", left=2)
    for name, told in recipes.items():
        table.add_row(name, told)
    return table


def bench_table(result: Mapping[str, Any]) -> Table:
    first = result["rows"][0]
    title = f"{result['task']}: last state after {result['steps']:,} steps, n={first['n']}, teacher {_mean(result):.2f} %"
    table = table_of(title, "", "accuracy", f"more than {first['variant']}", "agreement", "s")
    for row in result["rows"]:
        more = "" if row is first or row["more"] is None else spread(row["more"], row["more_deviation"], "+.2f")
        agreement, seconds = (
            f"{row[key]:{form}}" if row["n"] else "" for key, form in (("agreement", ".2f"), ("seconds", ".0f"))
        )
        table.add_row(row["variant"], reached(row), more, agreement, seconds)
    return table


def reached(row: Mapping[str, Any], unit: str = "") -> str:
    """A row's accuracy over its seeds, and how many of its runs diverged instead of reaching one."""
    mean = spread(row["top1"], row["deviation"]) + unit if row["n"] else ""
    lost = f"{row['diverged']} diverged" if row["diverged"] else ""
    return ", ".join(filter(None, (mean, lost)))


def spread(mean: float, deviation: float | None, form: str = ".2f") -> str:
    """'98.31 ± 0.20'."""
    return format(mean, form) if deviation is None else f"{mean:{form}} ± {deviation:.2f}"


def _mean(result: Mapping[str, Any]) -> float:
    return sum(result["teacher_top1"]) / len(result["teacher_top1"])
