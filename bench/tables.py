"""Fill tables from results/*.jsonl, between `<!-- results: NAME -->` and `<!-- /results -->`.

python bench/tables.py            rewrite README.md and docs/results.md
python bench/tables.py --check    exit 1 where they are not what the results say
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import recorded as rows

from akd.bench import BASELINE, table
from akd.tables import reached
from akd.tables import spread as with_deviation

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]


def conditions(row: Row) -> str:
    threads = f"{row['threads']} thread" + "s" * (row["threads"] != 1)
    return f"{row['device']}, {threads}, torch {row['torch']}, commit {row['commit']}"


def commits(lines: list[Row]) -> str:
    """All commits that rows of one table were measured at."""
    return ", ".join(dict.fromkeys(line["commit"] for line in lines))


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


def of_seeds(lines: list[Row], *same: str) -> list[list[Row]]:
    """Lines that differ in nothing but the seed and what was found, together; of each seed the last."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for line in lines:
        groups.setdefault(tuple(line.get(key) for key in (*same, "device", "threads", "torch")), {})[line["seed"]] = line
    return [list(group.values()) for group in groups.values()]


def where(group: list[Row]) -> str:
    """Seeds and conditions of a row."""
    seeds = ", ".join(str(line["seed"]) for line in group)
    return f"{conditions({**group[-1], 'commit': commits(group)})}, seed{'s' * (len(group) > 1)} {seeds}"


def cifar100(name: str, words: str) -> str:
    groups = of_seeds(rows(name), "teacher", "budget", "method", "time")
    if not groups:
        return ""
    text = f"{words}\n\n"
    text += "| teacher | student | parameters | steps | time | accuracy | agreement |\n|---|---|---|---|---|---|---|\n"
    for group in groups:
        r, mean = group[0], lambda key, group=group: statistics.mean(line[key] for line in group)
        text += (
            f"| {r['teacher']}, {r['teacher_top1']:.2f} % | {r['budget']} | {r['params']:,} | {mean('steps'):,.0f} | "
            f"{mean('seconds') / 60:.0f} min | {spread([line['top1'] for line in group])} % | "
            f"{spread([line['agreement'] for line in group])} % |\n"
        )
    text += f"\nLast state, {groups[0][0]['n']:,} real test images. Conditions and learning curves:\n\n"
    for group in groups:
        text += f"- {group[0]['budget']}: {where(group)}\n"
        for r in group:
            points = ", ".join(f"{p['seconds'] / 60:.0f} min {p['top1']:.1f} %" for p in r["curve"])
            text += f"    - seed {r['seed']}: {points}, end {r['top1']:.1f} %\n"
    return text


def engine() -> str:
    """A table for each pair of networks, batch, device and threads, with the last line of each contestant."""
    runs: dict[tuple[Any, ...], dict[tuple[Any, ...], Row]] = {}
    for r in rows("engine"):
        where = tuple(r[key] for key in ("teacher", "student", "batch", "device", "threads"))
        runs.setdefault(where, {})[r["method"], r["precision"], r["loop"]] = r
    return "\n".join(_engine(list(lines.values())) for lines in runs.values())


def _engine(lines: list[Row]) -> str:
    last = lines[-1]
    text = f"{last['teacher']} → {last['student']}, batch {last['batch']}: akd's loop and literal PyTorch loops of the same "
    text += "methods, taking turns in one run.\n\n| method | loop | student steps/s | over literal fp32 | "
    text += "over literal, same precision | share of the floor | peak memory |\n|---|---|---|---|---|---|---|\n"
    for r in lines:
        how = "fp32" if r["precision"] == "float32" else "bf16" if r["loop"] == "akd" else "autocast"
        rates = [f"{r[name]:.3g}" for name in ("steps_per_second", "slowest", "fastest")]
        memory = f"{r['peak_bytes'] / 2**20:,.0f} MB" if r["peak_bytes"] else ""
        text += f"| {r['method']} | {r['loop']}, {how} | {rates[0]} ({rates[1]} to {rates[2]}) | {r['over_float32']:.2f} | "
        text += f"{r['over_same']:.2f} | {100 * r['share_of_floor']:.0f} % | {memory} |\n"
    rounds = {r["method"]: f"{r['method']} {r['generator_steps']} + {r['student_steps']}" for r in lines}
    text += f"\nGenerator + student steps in a round: {', '.join(rounds.values())}. Median (slowest to fastest) of at least "
    text += f"{min(r['rounds'] for r in lines)} rounds. The floor: operations and bytes as counted, at the rates measured here "
    peaks = {r["precision"]: f"{1e3 * r['matrix_teraflops']:,.0f} GFLOP/s in {r['precision']}" for r in lines}
    text += f"({', '.join(peaks.values())}; {last['copy_gigabytes']:,.0f} GB/s). Memory: what a round holds at most beyond "
    return text + f"what was there before, by {last['peak_by'] or 'nothing here'}. {conditions(last)}.\n"


def named(variant: str) -> str:
    """A method with one idea by its name, one with all of them in a word that fits a page."""
    method, *ideas = variant.split("+")
    return variant if len(ideas) < 2 else f"{method} and all {len(ideas)}"


def compared(name: str, words: str) -> str:
    text = ""
    for task in dict.fromkeys(line["task"] for line in rows(name)):
        lines = [line for line in rows(name) if line["task"] == task]
        first = lines[0]["variant"]
        text += f"| {task} | accuracy | more than {first} | agreement | time |\n|---|---|---|---|---|\n"
        for row in table(lines):
            beside = row["variant"] != first and row["more"] is not None
            more = with_deviation(row["more"], row["more_deviation"], "+.2f") if beside else ""
            agreement, time = (f"{row['agreement']:.2f} %", f"{row['seconds']:,.0f} s") if row["n"] else ("", "")
            text += f"| {named(row['variant'])} | {reached(row, ' %')} | {more} | {agreement} | {time} |\n"
        seeds = list(dict.fromkeys(line["seed"] for line in lines))
        teacher = spread([next(line["teacher_top1"] for line in lines if line["seed"] == seed) for seed in seeds])
        knobs = {line["variant"]: line["knobs"] for line in lines if line["knobs"]}
        told = "; ".join(f"{name}: " + ", ".join(f"{k} {v}" for k, v in knob.items()) for name, knob in knobs.items())
        told = f" Constants other than the method's own: {told}." if told else ""
        share = f"{100 * lines[0]['ratio']:.0f} % of a teacher of {teacher} %"
        text += f"\n{words}{margin(lines)}{told} Last state after {lines[0]['steps']:,} student steps, student of {share}, "
        text += (
            f"mean ± deviation over seeds {', '.join(map(str, seeds))} (without ±: one seed), {lines[0]['n']:,} test images; "
        )
        text += f"times on a machine with other work; {conditions({**lines[-1], 'commit': commits(lines)})}.\n\n"
    return text.rstrip("\n") + "\n" if text else ""


def margin(lines: list[Row]) -> str:
    """By how much, seed by seed, the method that is least ahead of an untrained generator is; '' where there is none of it."""
    baseline, *others = table(sorted(lines, key=lambda line: line["variant"] != BASELINE))
    if baseline["variant"] != BASELINE:
        return ""
    if not baseline["n"]:
        return " The untrained generator's student collapses, and its run is ended."
    least = min((row for row in others if row["more"] is not None), key=lambda row: row["more"])
    points = with_deviation(least["more"], least["more_deviation"], "+.2f")
    return f" Least ahead of the untrained generator: {least['variant']}, {points} points."


def ceilings() -> str:
    groups = of_seeds(rows("ceilings"), "teacher", "student", "by", "steps", "batch")
    if not groups:
        return ""
    text = "What the same students reach on the real training images, by `bench/ceiling.py`:\n\n"
    text += "| teacher | student | parameters | learns by | steps | time | accuracy | agreement |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    for group in groups:
        r = group[0]
        text += (
            f"| {r['teacher']}, {r['teacher_top1']:.2f} % | {r['student']} | {r['params']:,} | {r['by']} | {r['steps']:,} × "
            f"{r['batch']} | {statistics.mean(line['seconds'] for line in group) / 60:.0f} min | "
            f"{spread([line['top1'] for line in group])} % | {spread([line['agreement'] for line in group])} % |\n"
        )
    told = "; ".join(dict.fromkeys(where(group) for group in groups))
    return f"{text}\nLast state, {groups[0][0]['n']:,} real test images; {told}.\n"


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
        "cifar100-cpu",
        "CIFAR-100 on a CPU shared with other work, far from converged; the same `akd distill` command is the one for a GPU:",
    ),
    "ceilings": ceilings,
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
