"""What a run folder says of itself in plain files: nothing is computed here, and an unfinished run has less."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from akd.config import from_yaml
from akd.errors import ConfigError, shortened
from akd.files import hardly_begun, lacking, near
from akd.runfolder import RunFolder, json_object

NOT_LOSSES = ("step", "seconds", "progress", "probe_agreement", "probe_kl")


def read_run(path: Path) -> dict[str, Any]:
    """The run in the folder `path`, JSON-ready; {} or [] for what is not there yet. ConfigError where there is no run.

    `status`: finished; diverged, where only a last good student is left; or unfinished, which is also a run at work.
    `quiet`: seconds since the run wrote anything. `metrics`: a report a line, numbers that were not finite as None.
    """
    folder = RunFolder(path)
    config = _config(path)
    result, diverged = folder.result(), json_object(path / "diverged.json")
    return {
        "name": path.resolve().name,
        "path": str(path),
        "status": "finished" if result else "diverged" if diverged else "unfinished",
        "diverged": diverged,
        "config": config,
        "result": result,
        "environment": folder.environment(),
        "data_free": json_object(path / "data_free.json"),
        "metrics": _metrics(path / "metrics.jsonl"),
        "grids": _grids(path / "images"),
        "quiet": _quiet(path),
    }


def student_folder(path: Path) -> Path | None:
    """Where the run's student lies: the result, or the last good one of a run that diverged."""
    return next((path / name for name in ("student", "last-good") if (path / name / "config.json").is_file()), None)


def source_of(config: dict[str, Any]) -> str:
    """How a run named its teacher, or its teachers."""
    teacher = config["teacher"]
    return " + ".join(str(one.get("source")) for one in teacher.get("members", [teacher]))


def evenly(held: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 .. held - 1, evenly chosen, the first and the last among them."""
    return list(range(held)) if held <= most else [round(i * (held - 1) / (most - 1)) for i in range(most)]


def losses_of(metrics: list[dict[str, Any]]) -> list[str]:
    """The names of the losses, in the order in which the run wrote them."""
    return list(dict.fromkeys(name for line in metrics for name in line if name not in NOT_LOSSES))


def conditions(run: dict[str, Any]) -> str:
    """Under what a run's numbers came about, in a line."""
    environment, config = run["environment"], run["config"]
    known = (
        (config, "seed", "seed {}"),
        (environment, "device", "{}"),
        (environment, "precision", "{}"),
        (environment, "threads", "{} CPU threads"),
        (environment, "torch", "torch {}"),
        (environment, "akd", "akd {}"),
    )
    said = [form.format(shortened(where[key])) for where, key, form in known if where.get(key) is not None]
    if run["metrics"]:
        said.append(f"{run['metrics'][-1]['step']:,} student steps")
    return ", ".join(said).replace(" 1 CPU threads", " 1 CPU thread")


def _config(path: Path) -> dict[str, Any]:
    file = path / "config.yaml"
    try:
        config = from_yaml(file.read_text())
        if not isinstance(config.get("teacher"), dict) or not isinstance(config.get("method"), dict):
            raise ConfigError("it names no teacher and method")
    except OSError as error:
        if hardly_begun(path):
            raise ConfigError(lacking(path, "checkpoint")) from error
        raise ConfigError(f"there is no run in {path}{_near(path)} (a run folder is what akd distill --out makes)") from error
    except (UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{file} cannot be read ({shortened(error)}); name a run folder that akd distill made") from error
    return config


def _near(path: Path) -> str:
    """A run below `path`, or where there is no such folder what has nearly its name."""
    below = sorted(path.glob("*/config.yaml")) if os.path.isdir(path) else []
    return f"; did you mean {str(below[0].parent)!r}?" if below else near(path)


def _metrics(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [report for report in map(_numbers, lines) if report]


def _numbers(line: str) -> dict[str, Any]:
    """A report's numbers; {} for a line that is cut short, as the last may be while a run is at work."""
    try:
        values = {name: value for name, value in json.loads(line).items() if value is None or type(value) in (int, float)}
        finite = {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
    except (ValueError, AttributeError, OverflowError):
        return {}
    return {} if None in (finite.get(name) for name in ("step", "seconds", "progress")) else finite


def _grids(folder: Path) -> list[dict[str, Any]]:
    """The pictures of what was made of each class, oldest first."""
    found = [(file.stem.removeprefix("step-"), file) for file in sorted(folder.glob("step-*.png"))]
    return [{"step": int(step), "file": str(file)} for step, file in found if step.isdecimal()]


def _quiet(path: Path) -> float | None:
    files = [path / name for name in ("metrics.jsonl", "checkpoint.pt", "environment.json", "config.yaml")]
    times = [file.stat().st_mtime for file in files if file.exists()]
    return max(0.0, time.time() - max(times)) if times else None
