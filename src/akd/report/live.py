"""A run as it stands, for a terminal: the same numbers as the report's, read anew from its folder each time."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from akd.loop import REPORT_EVERY
from akd.probe import COLLAPSE_SHARE, GRACE
from akd.report.facts import duration
from akd.report.record import evenly, losses_of
from akd.tables import table_of

BARS = "▁▂▃▄▅▆▇█"
SPARK, BAR = 32, 64  # characters
RECENT = 6  # reports that speed is taken over
QUIET, QUIET_REPORTS = 90.0, 5.0  # seconds, and usual times between reports, after which silence is told


def standing(run: dict[str, Any]) -> dict[str, Any]:
    """How a run from `read_run` stands, JSON-ready. None: not known before the second report, or not told by the config."""
    metrics, config = run["metrics"], run["config"]
    last = metrics[-1] if metrics else {}
    recent = metrics[-RECENT:]
    spent = recent[-1]["seconds"] - recent[0]["seconds"] if len(recent) > 1 else 0.0
    pace = (recent[-1]["step"] - recent[0]["step"]) / spent if spent > 0 else None
    gain = (recent[-1]["progress"] - recent[0]["progress"]) / spent if spent > 0 else 0.0
    return {
        "run": run["path"],
        "status": run["status"],
        "method": config["method"].get("name"),
        "asked": config.get("budget") or config.get("student"),
        "step": last.get("step", 0),
        "of_steps": config.get("steps"),
        "progress": last.get("progress", 0.0),
        "seconds": last.get("seconds", 0.0),
        "seconds_left": (1 - last["progress"]) / gain if gain > 0 else None,
        "steps_per_second": pace,
        "losses": {name: last.get(name) for name in ("probe_agreement", "probe_kl", *losses_of(metrics)) if name in last},
        "latest_grid": run["grids"][-1]["file"] if run["grids"] else None,
        "quiet": run["quiet"],
        "warnings": warnings(run),
    }


def warnings(run: dict[str, Any]) -> list[str]:
    """What looks wrong, a line each: by the same measure as the run's own watch over its probe."""
    if run["status"] == "diverged":
        return [f"the run went wrong and ended: {run['diverged']['reason']}; its last good student is in last-good/"]
    if run["status"] == "finished":
        return [warning] if (warning := run["result"].get("warning")) else []
    if not run["metrics"]:
        return []
    metrics, last, found = run["metrics"], run["metrics"][-1], []
    if broken := [name for name, value in last.items() if value is None]:
        found.append(f"{', '.join(broken)}: not a number; the run is about to end")
    seen = [line["probe_agreement"] for line in metrics if line.get("probe_agreement") is not None]
    if last["step"] > GRACE and seen and seen[-1] < COLLAPSE_SHARE * max(seen):
        found.append(f"unhealthy: probe agreement is {seen[-1]:.1f} %, it was {max(seen):.1f} %; four such reports end a run")
    usual = last["seconds"] / len(metrics)
    if run["quiet"] is not None and run["quiet"] > max(QUIET, QUIET_REPORTS * usual):
        found.append(f"nothing written for {duration(run['quiet'])}; if it was stopped, the same akd distill command goes on")
    return found


def frame(run: dict[str, Any]) -> RenderableType:
    """A picture of the run for a terminal 80 columns wide."""
    now = standing(run)
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=1.0, completed=now["progress"], width=BAR), f"{100 * now['progress']:.0f} %")
    parts: list[RenderableType] = [
        Text.assemble((run["name"], "bold"), f"  {now['method']}, {now['asked']}", overflow="ellipsis"),
        bar,
        Text(_pace(now), overflow="ellipsis"),
    ]
    if run["metrics"]:
        parts += [Text(), _losses(run["metrics"], now["losses"])]
    else:
        parts.append(Text(f"no report yet; the first comes after {REPORT_EVERY} student steps", style="dim"))
    parts.append(Text())
    if now["latest_grid"]:
        parts.append(Text(f"latest images  {now['latest_grid']}", overflow="fold"))
    if now["status"] == "unfinished" and now["quiet"] is not None:
        parts.append(Text(f"last written   {duration(now['quiet'])} ago"))
    parts += [Text(f"! {line}", style="bold yellow", overflow="fold") for line in now["warnings"]]
    if now["status"] == "finished":
        parts.append(Text(f"finished; akd report {run['path']}", overflow="fold"))
    return Group(*parts)


def _pace(now: dict[str, Any]) -> str:
    of = f" of {now['of_steps']:,}" if now["of_steps"] else ""
    words = [f"step {now['step']:,}{of}", f"{duration(now['seconds'])} gone"]
    if now["steps_per_second"] is not None:
        words.insert(1, f"{now['steps_per_second']:.3g} steps/s")
    if now["seconds_left"] and now["status"] == "unfinished":
        words.append(f"{duration(now['seconds_left'])} left")
    return "  ".join(words)


def _losses(metrics: list[dict[str, Any]], now: dict[str, float | None]) -> Table:
    table = table_of("", "", "since the start", "now", left=2)
    for name, value in now.items():
        label = {"probe_agreement": "probe agreement, %", "probe_kl": "probe KL, nats"}.get(name, name)
        curve = spark([line.get(name) for line in metrics])
        table.add_row(label, Text(curve, style="cyan"), "–" if value is None else f"{value:.4g}")
    return table


def spark(values: list[float | None]) -> str:
    """At most `SPARK` bars from the lowest value to the highest; a blank for None."""
    kept = [values[i] for i in evenly(len(values), SPARK)]
    known = [value for value in kept if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    top = len(BARS) - 1

    def bar(value: float | None) -> str:
        return " " if value is None else BARS[round(top * (value - low) / (high - low))] if high > low else BARS[0]

    return "".join(map(bar, kept))
