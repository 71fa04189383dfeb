"""Fill tables from results/*.jsonl, between `<!-- results: NAME -->` and `<!-- /results -->`.

python bench/tables.py            rewrite README.md and docs/results.md
python bench/tables.py --check    exit 1 where they are not what the results say
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from akd.bench import table
from akd.tables import spread as with_deviation

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


def cifar100(name: str, words: str) -> str:
    lines = rows(name)
    if not lines:
        return ""
    text = f"{words}\n\n"
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


def compared(name: str, words: str) -> str:
    text = ""
    for task in dict.fromkeys(line["task"] for line in rows(name)):
        lines = [line for line in rows(name) if line["task"] == task]
        first = lines[0]["variant"]
        text += f"| {task} | accuracy | more than {first} | agreement | seconds |\n|---|---|---|---|---|\n"
        for row in table(lines):
            more = "" if row["variant"] == first else with_deviation(row["more"], row["more_deviation"], "+.2f")
            text += f"| {row['variant']} | {with_deviation(row['top1'], row['deviation'])} % | {more} | "
            text += f"{row['agreement']:.2f} % | {row['seconds']:.0f} |\n"
        seeds = list(dict.fromkeys(line["seed"] for line in lines))
        teacher = spread([next(line["teacher_top1"] for line in lines if line["seed"] == seed) for seed in seeds])
        knobs = {line["variant"]: line["knobs"] for line in lines if line["knobs"]}
        told = "; ".join(f"{name}: " + ", ".join(f"{k} {v}" for k, v in knob.items()) for name, knob in knobs.items())
        words += f" Constants other than the method's own: {told}." if told else ""
        share = f"{100 * lines[0]['ratio']:.0f} % of a teacher of {teacher} %"
        text += f"\n{words} Last state after {lines[0]['steps']:,} student steps, student of {share}, mean ± deviation over "
        text += f"seeds {', '.join(map(str, seeds))}, {lines[0]['n']:,} test images; {conditions(lines[-1])}.\n\n"
    return text.rstrip("\n") + "\n" if text else ""


def methods() -> str:
    return compared("methods", "Each method by itself.")


def ablation() -> str:
    return compared("ablation", "The default method, each idea added alone, and all together.")


TABLES: dict[str, Callable[[], str]] = {
    "quickstart": quickstart,
    "methods": methods,
    "ablation": ablation,
    "cifar100": lambda: cifar100("cifar100", "CIFAR-100:"),
    "cifar100-cpu": lambda: cifar100(
        "cifar100-cpu", "CIFAR-100 on a CPU, far from converged; the same `akd distill` command is the one for a GPU:"
    ),
    "engine": engine,
}


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
    for file in (ROOT / "README.md", ROOT / "docs" / "results.md"):
        now, should = file.read_text(), filled(file.read_text())
        if "--check" in sys.argv and now != should:
            sys.exit(f"{file.name} is not what results/ say; run python bench/tables.py")
        if now != should:
            file.write_text(should)
