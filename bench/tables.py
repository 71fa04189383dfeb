"""Fill the README's tables from results/*.jsonl, between `<!-- results: NAME -->` and `<!-- /results -->`.

python bench/tables.py            rewrite README.md
python bench/tables.py --check    exit 1 where README.md is not what the results say
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    file = ROOT / "results" / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def conditions(row: Row) -> str:
    threads = f"{row['threads']} thread" + "s" * (row["threads"] != 1)
    return f"{row['device']}, {threads}, torch {row['torch']}, commit {row['commit']}"


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def quickstart() -> str:
    lines = rows("quickstart")
    if not lines:
        return ""
    text = "| | parameters | accuracy | agreement with the teacher |\n|---|---|---|---|\n"
    teacher = [line["teacher"] for line in lines]
    text += f"| teacher | {teacher[0]['params']:,} | {spread([t['accuracy'] for t in teacher])} % | |\n"
    for i, student in enumerate(lines[0]["students"]):
        same = [line["students"][i] for line in lines]
        accuracy, agreement = spread([s["accuracy"] for s in same]), spread([s["agreement"] for s in same])
        text += f"| student, {student['budget']} | {student['params']:,} | {accuracy} % | {agreement} % |\n"
    seconds = statistics.mean(line["seconds"] for line in lines)
    seeds = ", ".join(str(line["seed"]) for line in lines)
    return (
        text + f"\nLast state, mean ± deviation over seeds {seeds}, {lines[0]['test_images']} held-out digits, "
        f"{seconds:.0f} s on average for all of it, the students side by side; {conditions(lines[-1])} each.\n"
    )


def cifar100_cpu() -> str:
    lines = rows("cifar100-cpu")
    if not lines:
        return ""
    text = "CIFAR-100 on a CPU, far from converged; the same `akd distill` command is the one for a GPU:\n\n"
    text += "| teacher | student | parameters | steps | time | accuracy | agreement |\n|---|---|---|---|---|---|---|\n"
    for r in lines:
        text += (
            f"| {r['teacher']}, {r['teacher_top1']:.2f} % | {r['budget']} | {r['params']:,} | {r['steps']:,} | "
            f"{r['seconds'] / 60:.0f} min | {r['top1']:.2f} % | {r['agreement']:.2f} % |\n"
        )
    text += f"\nLast state, one seed, {lines[-1]['n']:,} real test images; {conditions(lines[-1])}. Learning curves:\n\n"
    for r in lines:
        points = ", ".join(f"{p['seconds'] / 60:.0f} min {p['top1']:.1f} %" for p in r["curve"])
        text += f"- {r['budget']}: {points}, end {r['top1']:.1f} %\n"
    return text


def engine() -> str:
    lines = rows("engine")
    if not lines:
        return ""
    text = "The loop against a literal PyTorch loop of the same method (DFAD), same networks and batch, in one run:\n\n"
    text += "| teacher → student | batch | this loop | literal loop | ratio | conditions |\n|---|---|---|---|---|---|\n"
    for r in lines:
        text += (
            f"| {r['teacher']} → {r['student']} | {r['batch']} | "
            f"{r['engine_steps_per_second']:.2f} steps/s ({r['precision']}) | "
            f"{r['literal_steps_per_second']:.2f} steps/s (float32) | {r['ratio']:.2f} | {conditions(r)} |\n"
        )
    return text


TABLES: dict[str, Callable[[], str]] = {"quickstart": quickstart, "cifar100-cpu": cifar100_cpu, "engine": engine}


def filled(text: str) -> str:
    for name, make in TABLES.items():
        marks = f"<!-- results: {name} -->\n", "<!-- /results -->"
        text = re.sub(
            re.escape(marks[0]) + ".*?" + re.escape(marks[1]),
            lambda _, m=marks, make=make: m[0] + make() + m[1],
            text,
            flags=re.S,
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    now, should = readme.read_text(), filled(readme.read_text())
    if "--check" in sys.argv:
        sys.exit("README.md is not what results/ say; run python bench/tables.py" if now != should else 0)
    readme.write_text(should)
