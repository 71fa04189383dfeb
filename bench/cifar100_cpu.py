"""CIFAR-100 on a CPU: `akd distill` from a real teacher, then `akd evaluate` on the 10,000 real test images.

    AKD_WEIGHTS=… AKD_DATA=… python bench/cifar100_cpu.py --budget 10% --time 20m --out runs/cifar100-10pct

Appends to results/cifar100-cpu.jsonl, with the learning curve: the student as it stood in a checkpoint every few minutes,
measured after the run has ended. The same `akd distill` command is the one for a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from record import ROOT, append

from akd.evaluation.data import load_test_set
from akd.evaluation.metrics import evaluate
from akd.networks.models import load_model, save_model
from akd.runfolder import RunFolder


def curve(copies: list[Path], run: Path, data: str) -> list[dict[str, float]]:
    """Accuracy of the averaged student in each copied checkpoint, over the run's own seconds."""
    student, points = load_model(str(run)), []
    test = load_test_set(data, student.card)
    for file in copies:
        saved = RunFolder(file.parent).load_checkpoint(file.name)
        student.load_state_dict(saved["parts"].get("average", saved["parts"]["student"]))
        counters = saved["counters"]
        top1 = evaluate(student, test).top1
        points.append({"step": counters["step"], "seconds": round(counters["seconds"]), "top1": round(top1, 2)})
    return points


def watched(command: list[str], run: Path, copies: Path, points: int, seconds: float) -> None:
    """Run the command, copying its checkpoint aside `points` times over `seconds`."""
    copies.mkdir(parents=True, exist_ok=True)
    child, taken = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0
    while child.poll() is None:
        time.sleep(1)
        file = run / "checkpoint.pt"
        lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []
        due = bool(lines) and json.loads(lines[-1])["seconds"] >= seconds * (taken + 1) / (points + 1)
        if due and file.exists():
            taken += 1
            shutil.copy(file, copies / f"{taken}.pt")
    if child.returncode:
        raise SystemExit(child.returncode)


def akd(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "akd", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--budget", default="10%")
    p.add_argument("--minutes", type=float, default=20)
    p.add_argument("--threads", default="2")
    p.add_argument("--out", type=Path, required=True)
    a = p.parse_args()
    torch.set_num_threads(int(a.threads))
    weights = Path(os.environ.get("AKD_WEIGHTS", ROOT / ".." / "shared" / "weights")) / "cifar100-resnet56"
    data = str(Path(os.environ.get("AKD_DATA", ROOT / ".." / "shared" / "data")) / "cifar100")
    card = json.loads((weights / "card.json").read_text())
    teacher, run = a.out / "teacher", a.out / "run"
    save_model(load_model(str(weights / card["file"]), arch="resnet56", mean=card["mean"], std=card["std"]), teacher)
    command = [sys.executable, "-m", "akd", "distill", "--teacher", str(teacher), "--budget", a.budget, "--out", str(run)]
    command += ["--time", f"{a.minutes}m", "--threads", a.threads, "--checkpoint-every", "20s", "--json"]
    watched(command, run, a.out / "copies", 4, 60 * a.minutes)
    measured = akd("evaluate", str(run), "--data", data, "--teacher", str(teacher))
    result = json.loads((run / "result.json").read_text())
    kept = {key: measured[key] for key in ("top1", "top5", "agreement", "mean_kl", "n", "params")}
    told = {"teacher": "resnet56", "teacher_top1": measured["teacher_top1"], "budget": a.budget, "method": result["method"]}
    points = curve(sorted((a.out / "copies").glob("*.pt"), key=lambda f: int(f.stem)), run, data)
    made = {"steps": result["steps"], "seconds": result["seconds"], "curve": points}
    append("cifar100-cpu", {**told, **kept, **made}, json.loads((run / "environment.json").read_text()))


if __name__ == "__main__":
    main()
