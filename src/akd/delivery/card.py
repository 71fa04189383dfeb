"""The README that a run folder carries: what it is, how to use it, every number with its conditions."""

from __future__ import annotations

from typing import Any

from akd.config import Run


def run_card(run: Run, result: dict[str, Any], environment: dict[str, Any], record: dict[str, Any]) -> str:
    """Markdown for `README.md`."""
    conditions = (
        f"seed {run.seed}, {environment['device']}, {environment['precision']}, {environment['threads']} threads, "
        f"torch {environment['torch']}, akd {environment['akd']}"
    )
    proof = {
        True: "nothing but the teacher's files and this folder's",
        None: "the record cannot tell, as this process could read data before the run began",
        False: "FILES THAT WANT A LOOK",
    }[record["data_free"]]
    return f"""# A student distilled without data

`student/` is the last state of the run (not the best): {result["architecture"]}, {result["params"]:,} parameters,
{100 * result["ratio"]:.2f} % of the teacher's {result["teacher_params"]:,}; {result["macs"]:,} multiply-adds an image.

| | |
|---|---|
| teacher | `{run.teacher.source}` (weights sha256 in `environment.json`) |
| method | {run.method.name} ({run.method.paper}) |
| student steps | {result["steps"]:,} in {result["seconds"]:.0f} s |
| agreement with the teacher on the synthetic probe | {result["probe_agreement"]:.1f} % |
| conditions | {conditions} |
| read while distilling | {proof}: see `data_free.json` |

No test set was looked at. To measure the student:

    akd evaluate . --data YOUR_TEST_SET

| file | what it holds |
|---|---|
| `student/` | `model.safetensors` and `config.json` (architecture, classes, normalisation) |
| `config.yaml` | the whole configuration; `akd distill --config config.yaml --out NEW` runs it again from the same teacher |
| `environment.json` | device, versions, threads, the teacher's digest |
| `metrics.jsonl` | losses and probe agreement over steps and seconds |
| `images/` | what the student was shown, as the run went on |
| `data_free.json` | what was opened, started, connected to and loaded while distilling |
| `checkpoint.pt` | the state of the run; its digest is in its first line |
| `result.json` | written last: the run is whole |
"""
