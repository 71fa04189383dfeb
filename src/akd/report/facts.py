"""A run's numbers as words under headings: one list serves a run alone and several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from akd.report.findings import depth_mean
from akd.report.record import source_of

NOTHING = "–"
VERDICTS = {True: "nothing but the teacher was read", None: "the record cannot tell", False: "files that want a look"}


@dataclass(frozen=True)
class Fact:
    """`value` decides which run is best where `better` is 1 (more) or -1 (less); 0: neither is. `noise`: its standard error."""

    group: str
    label: str
    text: str
    value: float | None = None
    better: int = 0
    noise: float = 0.0


@dataclass(frozen=True)
class Row:
    """One fact of several runs: `differs` where they are not all alike, `best` the places of the best values, and of those
    that two standard errors of the difference cannot tell from them."""

    label: str
    texts: list[str]
    differs: bool
    best: list[int]


def facts(run: dict[str, Any]) -> list[Fact]:
    """What went in, what came out, and under which conditions."""
    return [*_went_in(run), *_came_out(run), *_real(run), *_images(run), *_conditions(run)]


def compared(runs: list[dict[str, Any]]) -> dict[str, list[Row]]:
    """The facts of several runs by heading, and last the settings in which they differ."""
    columns = [{(fact.group, fact.label): fact for fact in facts(run)} for run in runs]
    rows: dict[str, list[Row]] = {}
    for group, label in dict.fromkeys(key for column in columns for key in column):
        found = [column.get((group, label)) for column in columns]
        rows.setdefault(group, []).append(_row(label, found))
    rows["Other settings that differ"] = _settings(runs)
    return {group: lines for group, lines in rows.items() if lines}


def _row(label: str, found: list[Fact | None]) -> Row:
    texts = [NOTHING if fact is None else fact.text for fact in found]
    better = next((fact.better for fact in found if fact), 0)
    scored = [(better * fact.value, fact.noise) if fact and fact.value is not None else None for fact in found]
    top = max((score for score in scored if score is not None), default=None)
    differs = len(set(texts)) > 1
    best = []
    if better and differs and top is not None:
        best = [i for i, one in enumerate(scored) if one and one[0] >= top[0] - 2 * math.hypot(one[1], top[1])]
    return Row(label, texts, differs, best if len(best) < len(found) else [])


def _settings(runs: list[dict[str, Any]]) -> list[Row]:
    """The leaves of the configs that are not told above and differ between runs."""
    told = ("teacher", "student", "budget", "steps", "time", "seed", "method.name")
    leaves = [dict(_leaves(run["config"])) for run in runs]
    keys = [key for key in dict.fromkeys(key for one in leaves for key in one) if not key.startswith(told)]
    wanted = [key for key in keys if any(one.get(key) != leaves[0].get(key) for one in leaves)]
    return [Row(key, [str(one.get(key, NOTHING)) for one in leaves], True, []) for key in wanted]


def _leaves(values: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _went_in(run: dict[str, Any]) -> Iterator[Fact]:
    config, teacher = run["config"], run["teacher"]
    named = source_of(config)
    yield Fact("Went in", "Teacher", f"{teacher['named']} ({named})" if teacher else named)
    yield Fact("Went in", "Method", str(config["method"].get("name", "akd")))
    if ideas := config.get("ideas"):
        yield Fact("Went in", "Ideas", ", ".join(map(str, ideas)))
    yield Fact("Went in", "Size asked for", str(config.get("budget") or config.get("student")))
    asked = f"{config['steps']:,} steps" if config.get("steps") else duration(config.get("time"))
    yield Fact("Went in", "Length asked for", asked)
    yield Fact("Went in", "Seed", str(config.get("seed", 0)))


def _came_out(run: dict[str, Any]) -> Iterator[Fact]:
    group, result, last = "Came out", run["result"], (run["metrics"] or [{}])[-1]
    yield Fact(group, "Status", run["status"])
    if run["student"]:
        mine, teacher = run["student"], run["teacher"]
        yield Fact(group, "Student", mine["named"])
        against = teacher["params"] if teacher else result.get("teacher_params")
        yield Fact(group, "Parameters", f"{mine['params']:,}{_of(mine['params'], against)}", mine["params"], -1)
        of = _of(mine["macs"], teacher and teacher["macs"])
        yield Fact(group, "Multiply-adds an image", f"{mine['macs']:,}{of}", mine["macs"], -1)
        beside = f" (teacher {teacher['latency_ms']:.2f} ms)" if teacher else ""
        yield Fact(group, "Latency of one image here", f"{mine['latency_ms']:.2f} ms{beside}")
    if last:
        yield Fact(group, "Steps made", f"{last['step']:,}", last["step"])
        yield Fact(group, "Time taken", duration(last["seconds"]))
    # All that can be known without data: the run's own frozen probe of formula pictures.
    if run["status"] == "diverged":  # what its reports tell is not of the student that is left
        return
    if last.get("probe_agreement") is not None:
        yield Fact(group, "Agreement on the probe", f"{last['probe_agreement']:.1f} %")
    if last.get("probe_kl") is not None:
        yield Fact(group, "KL on the probe", f"{last['probe_kl']:.3f} nats")


def _real(run: dict[str, Any]) -> Iterator[Fact]:
    measured = run["measured"]
    if not measured:
        return
    group = f"On {measured['data']} ({measured['n']:,} images)"
    for name, label, better in (
        ("top1", "Accuracy", 1),
        ("top5", "Top-5 accuracy", 1),
        ("agreement", "Agreement with the teacher", 1),
        ("teacher_top1", "The teacher’s accuracy", 0),
    ):
        if (value := measured[name]) is not None:
            noise = spread(value, measured["n"])
            yield Fact(group, label, f"{value:.2f} ± {noise:.2f} %", value, better, noise)
    yield Fact(group, "Calibration error", f"{measured['ece']:.1f} %", measured["ece"], -1)


def spread(percent: float, n: int) -> float:
    """Standard error, in points, of a share measured on n images; one right and one wrong are added, so that none is 0."""
    share = (percent / 100 * n + 1) / (n + 2)
    return 100 * (share * (1 - share) / (n + 2)) ** 0.5


def _images(run: dict[str, Any]) -> Iterator[Fact]:
    if not (synthetic := run["synthetic"]):
        return
    group, seen = "Synthetic images", synthetic["looks"]["synthetic"]
    if synthetic["made"] is not None:
        yield Fact(group, "Made", f"{synthetic['made']:,}")
    variety = f"{seen['classes']:.1f} of {len(seen['seen'])}"
    yield Fact(group, "Effective classes", variety)
    if seen["within"] is not None:
        yield Fact(group, "Difference within a class", f"{seen['within']:.1f} %")
    yield Fact(group, "Copies", f"{seen['copies']:.1f} %")
    if (off := depth_mean(seen)) is not None:
        yield Fact(group, "BatchNorm mismatch of means", f"{off:.3f}")
    yield Fact(group, "Mode collapse", "yes" if synthetic["collapse"] else "no")


def _conditions(run: dict[str, Any]) -> Iterator[Fact]:
    group, environment = "Conditions", run["environment"]
    if run["data_free"]:
        yield Fact(group, "Data-free record", VERDICTS.get(run["data_free"].get("data_free"), NOTHING))
    for key in ("device", "precision", "threads", "torch", "python", "akd", "platform"):
        if key in environment:
            yield Fact(group, {"threads": "CPU threads"}.get(key, key.capitalize()), str(environment[key]))


def _of(part: float, whole: float | None) -> str:
    return f" ({100 * part / whole:.1f} % of {int(whole):,})" if whole else ""


def duration(seconds: float | None) -> str:
    """93.2 -> '93 s', 600 -> '10 min', 5400 -> '1.5 h'."""
    if seconds is None:
        return NOTHING
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"
