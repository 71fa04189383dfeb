"""Values become one HTML file that opens offline. All text from outside is escaped by the templates themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from akd.gallery import layout, read
from akd.report import curves
from akd.report.facts import VERDICTS, compared, duration, facts, spread
from akd.report.findings import findings, lost_classes
from akd.report.images import heat_uri, strip_uri
from akd.report.record import conditions, evenly

PER_STRIP = 8  # moments of a run
FIRST = 12  # classes, or pairs of classes, that are shown at once; the others are folded away
SMALL = 20  # classes up to which the confusion is a table of numbers
STYLES = 6  # colours; more runs share them


def render(values: dict[str, Any]) -> str:
    """The HTML of a report on what `gather` found, with nothing in it that is fetched from anywhere."""
    runs = [_prepared(i, run) for i, run in enumerate(values["runs"])]
    page = _templates().get_template("report.html")
    plain = values["runs"]
    return page.render(
        values=values,
        runs=runs,
        compared=compared(plain) if len(plain) > 1 else {},
        learning=curves.learning(plain),
        reports=max((len(run["metrics"]) for run in plain), default=0),
    )


def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("akd.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {"duration": duration, "number": _number, "tight": _tight}
    found.globals |= {"style": lambda i: i % STYLES, "spread": spread, "FIRST": FIRST, "inline": _inline}
    return found


def _inline(name: str) -> Markup:
    """A style sheet or script of this package, as it is."""
    return Markup((Path(__file__).parent / "templates" / name).read_text())


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def _tight(text: str) -> str:
    """No line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(%|ms|s|min|h|nats|points)\b|%)", "\u00a0", text)


def _prepared(i: int, run: dict[str, Any]) -> dict[str, Any]:
    """A run with all that its sections show, ready to be written out."""
    grouped: dict[str, list[Any]] = {}
    for fact in facts(run):
        grouped.setdefault(fact.group, []).append(fact)
    looks = run["synthetic"]["looks"] if run["synthetic"] else {}
    return {
        **run,
        "index": i,
        "facts": grouped,
        "findings": findings(run),
        "conditions": conditions(run),
        "verdict": VERDICTS.get(run["data_free"].get("data_free"), "") if run["data_free"] else "there is none yet",
        **_strips(run),
        "by_layer": curves.by_layer(looks),
        "by_class": curves.by_class(looks) if looks else None,
        "lost": lost_classes(run),
        "confusion": _confusion(run),
        "reliability": curves.reliability(run["measured"]["details"]["calibration"]) if run["measured"] else None,
        "yaml": yaml.safe_dump(run["config"], sort_keys=False, allow_unicode=True),
    }


def _strips(run: dict[str, Any]) -> dict[str, Any]:
    """For each class that the run's pictures show, an image of it at some moments, the earliest first; and these moments."""
    network = run["teacher"] or run["student"]
    if not network:
        return {"strips": [], "moments": []}
    size, classes = tuple(network["input_size"]), network["num_classes"]
    kept = [run["grids"][i] for i in evenly(len(run["grids"]), PER_STRIP)]
    found = {grid["step"]: read(Path(grid["file"]), size, classes) for grid in kept}
    sheets = {step: sheet[:, 0] for step, sheet in found.items() if sheet is not None}
    strips = []
    for i, number in enumerate(layout(classes).classes if sheets else []):
        images = torch.stack([sheet[i] for sheet in sheets.values()])
        seen = [bool((image != 255).any()) for image in images]
        strips.append({"name": run["classes"][number], "uri": strip_uri(images, seen) if any(seen) else None})
    return {"strips": strips, "moments": [*sheets]}


def _confusion(run: dict[str, Any]) -> dict[str, Any] | None:
    """The student's answers against the teacher's: the pairs that differ, most first, and all cells as shares of a row."""
    told = run["measured"]["details"] if run["measured"] else {}
    if not told.get("confusion"):
        return None
    names, cells = told["names"], told["confusion"]
    rows = [0] * len(names)
    for teacher, _, count in cells:
        rows[teacher] += count
    pairs = [
        {"teacher": names[t], "student": names[s], "count": count, "share": 100 * count / rows[t]}
        for t, s, count in cells
        if t != s
    ]
    small = len(names) <= SMALL
    table: list[list[int]] = [[0] * len(names) for _ in names] if small else []
    for teacher, student, count in cells if small else []:
        table[teacher][student] = count
    heat = None if small else heat_uri(len(names), cells)
    return {"names": names, "rows": rows, "table": table, "pairs": pairs[: 3 * FIRST], "heat": heat, "wrong": len(pairs)}
