"""Results as lines of JSON, each with the conditions it was obtained under."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """The commit at work, "-dirty" where the tree is another (results do not count); of a bare copy, what AKD_COMMIT says."""
    said = _git("describe", "--always")
    changed = _git("status", "--porcelain", "--", ".", ":(exclude)results")
    return f"{said}{'-dirty' * bool(changed)}" if said else os.environ.get("AKD_COMMIT", "unknown")


def _git(*words: str) -> str:
    """What git says of this tree; nothing where there is no git, or no repository."""
    with suppress(OSError):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return ""


def recorded(name: str) -> list[dict[str, Any]]:
    """The lines of results/NAME.jsonl."""
    file = ROOT / "results" / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def append(name: str, values: dict[str, Any], environment: dict[str, Any], dry: bool = False) -> None:
    """Add a line to results/NAME.jsonl, unless the same was found before, and print it; dry: print it only."""
    kept = ("device", "precision", "threads", "akd", "torch", "python")
    line = {**values, **{key: environment[key] for key in kept}}
    # The same command goes on or finds all done: what it says again is no second measurement, whatever the commit by then.
    known = any(line.items() <= old.items() for old in recorded(name))
    line["commit"] = commit()
    if not dry and not known:
        (ROOT / "results").mkdir(exist_ok=True)
        with open(ROOT / "results" / f"{name}.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
