"""CIFAR-100 on a CPU: `akd distill` from a real teacher, then `akd evaluate` on the 10,000 real test images.

    AKD_WEIGHTS=… AKD_DATA=… python bench/cifar100_cpu.py --budget 10% --time 20m --out runs/cifar100-10pct

Appends to results/cifar100-cpu.jsonl. The same `akd distill` command is the one for a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from record import ROOT, append

from akd.networks.models import load_model, save_model


def akd(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "akd", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--budget", default="10%")
    p.add_argument("--time", default="20m")
    p.add_argument("--threads", default="2")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    weights = Path(os.environ.get("AKD_WEIGHTS", ROOT / ".." / "shared" / "weights")) / "cifar100-resnet56"
    data = Path(os.environ.get("AKD_DATA", ROOT / ".." / "shared" / "data")) / "cifar100"
    card = json.loads((weights / "card.json").read_text())
    teacher = Path(a.out) / "teacher"
    save_model(load_model(str(weights / card["file"]), arch="resnet56", mean=card["mean"], std=card["std"]), teacher)
    run = str(Path(a.out) / "run")
    made = akd(
        "distill", "--teacher", str(teacher), "--budget", a.budget, "--time", a.time, "--threads", a.threads, "--out", run
    )
    measured = akd("evaluate", run, "--data", str(data), "--teacher", str(teacher))
    conditions = json.loads(Path(run, "environment.json").read_text())
    kept = {key: measured[key] for key in ("top1", "top5", "agreement", "mean_kl", "n", "params")}
    told = {"teacher": "resnet56", "teacher_top1": measured["teacher_top1"], "budget": a.budget, "method": made["method"]}
    append("cifar100-cpu", {**told, **kept, "steps": made["steps"], "seconds": made["seconds"]}, conditions)


if __name__ == "__main__":
    main()
