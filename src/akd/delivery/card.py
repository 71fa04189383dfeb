"""What READMEs say: what a thing is, how to use it, every number with its conditions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from akd.config import Ensemble, Run
from akd.networks.zoo import is_foreign
from akd.runfolder import RunFolder

PROOF = {
    True: "nothing but the teacher's files and the run's own",
    None: "the record cannot tell, as this process could read data before the run began",
    False: "FILES THAT WANT A LOOK",
}


def run_card(run: Run, result: dict[str, Any], environment: dict[str, Any], record: dict[str, Any]) -> str:
    """Markdown for `README.md`."""
    warning = f"**Warning:** {result['warning']}.\n\n" if result["warning"] else ""
    return f"""# A student distilled without data

`student/` is the last state of the run (not the best): {result["architecture"]}, {result["params"]:,} parameters,
{100 * result["ratio"]:.2f} % of the teacher's {result["teacher_params"]:,}; {result["macs"]:,} multiply-adds an image.

| | |
|---|---|
| teacher | `{run.teacher.source}` (weights sha256 in `environment.json`) |
| method | {run.method.name} ({run.method.paper}) |
| student steps | {result["steps"]:,} in {result["seconds"]:.0f} s |
| agreement with the teacher on the synthetic probe | {result["probe_agreement"]:.1f} % |
| conditions | seed {run.seed}, {conditions(environment)} |
| read while distilling | {PROOF[record["data_free"]]}: see `data_free.json` |

{warning}No test set was looked at. To measure the student:

    akd evaluate . --data YOUR_TEST_SET

| file | what it holds |
|---|---|
| `student/` | `model.safetensors` and `config.json` (architecture, classes, normalisation) |
| `config.yaml` | the whole configuration; `akd distill --config config.yaml --out NEW` runs it again from the same teacher |
| `environment.json` | device, versions, threads, the teacher's digest |
| `metrics.jsonl` | losses and probe agreement over steps and seconds |
| `images/` | what the maker of images made, class by class, as the run went on |
| `snapshots/` | the student at ten moments of the run, for the curves of `akd report --data` |
| `data_free.json` | what was opened, started, connected to and loaded while distilling |
| `checkpoint.pt` | the state of the run; its digest is in its first line |
| `result.json` | written last: the run is whole |
"""


def conditions(environment: Mapping[str, Any]) -> str:
    """The conditions of a number in words, from what `runfolder.environment` tells."""
    threads = f"{environment['threads']} thread" + "s" * (environment["threads"] != 1)
    if (processes := environment.get("processes", 1)) > 1:
        threads += f" in each of {processes} processes"
    versions = [f"{name} {environment[name]}" for name in ("torch", "onnxruntime", "akd") if name in environment]
    return ", ".join([environment["device"], environment["precision"], threads, *versions])


def published_history(folder: RunFolder) -> str:
    """Rows of a Markdown table: how the run in `folder` went, for a card that others read. No path of this machine is in it."""
    run, result, environment = folder.config(), folder.result(), folder.environment()
    sources = [member.source for member in run.teacher.members] if isinstance(run.teacher, Ensemble) else [run.teacher.source]
    named = " + ".join(s if is_foreign(s) or s.startswith("hf-hub:") else Path(s).name for s in sources)
    records = folder.earlier_records()
    rows = {
        "teacher": f"`{named}`, sha256 of its weights `{environment.get('teacher_sha256', 'unknown')[:16]}`",
        "method": f"{run.method.name} ({run.method.paper})",
        "distilled under": f"seed {run.seed}, {conditions(environment)}" if environment else "unknown",
        "read while distilling": PROOF[records[-1].get("data_free")] if records else "no record is left",
    }
    if result:
        rows["student steps"] = f"{result['steps']:,} in {result['seconds']:.0f} s"
    return "".join(f"| {name} | {value} |\n" for name, value in rows.items())


def front_matter(**values: Any) -> str:
    """The YAML head of a card on the Hugging Face hub."""
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


LICENSE = """## License

None is chosen yet: that is for you to do, as `license: …` in the head of this file. What the teacher's own license says of
models and images made from it may bind you.
"""
