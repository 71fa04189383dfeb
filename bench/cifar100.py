"""CIFAR-100: `akd distill`, then `akd evaluate` on the 10,000 real test images; a line in results/.

    python bench/cifar100.py --out runs/10pct -- --teacher runs/teacher --recipe cifar100-10pct
    python bench/cifar100.py --out runs/cpu --name cifar100-cpu -- --budget 10% --time 20m --threads 2

What stands after `--` goes to `akd distill` as it is; without a teacher there, it is the ResNet-56 under AKD_WEIGHTS. AKD_DATA
is the folder that holds cifar100/. The line has the learning curve: the student as it stood in a checkpoint now and then,
measured after the run has ended.
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

from record import ROOT, append

from akd.evaluation.data import load_test_set
from akd.evaluation.metrics import evaluate
from akd.networks.models import load_model, save_model
from akd.runfolder import RunFolder
from akd.teachers import load_teacher


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


def watched(command: list[str], run: Path, copies: Path, points: int) -> None:
    """Run the command, copying its checkpoint aside `points` times over its course."""
    copies.mkdir(parents=True, exist_ok=True)
    child, taken = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0
    while child.poll() is None:
        time.sleep(1)
        file = run / "checkpoint.pt"
        due = RunFolder(run).last_report().get("progress", 0.0) >= (taken + 1) / (points + 1)
        if due and file.exists():
            taken += 1
            shutil.copy(file, copies / f"{taken}.pt")
    if child.returncode:
        raise SystemExit(child.returncode)


def akd(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "akd", *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def default_teacher(folder: Path) -> str:
    """The ResNet-56 under AKD_WEIGHTS as a model folder."""
    weights = Path(os.environ.get("AKD_WEIGHTS", ROOT / ".." / "shared" / "weights")) / "cifar100-resnet56"
    card = json.loads((weights / "card.json").read_text())
    save_model(load_model(str(weights / card["file"]), arch="resnet56", mean=card["mean"], std=card["std"]), folder)
    return str(folder)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--name", default="cifar100", help="of the file under results/")
    p.add_argument("--points", type=int, default=4, help="of the learning curve, before its end")
    p.add_argument("distill", nargs="*", help="options of `akd distill`, after --")
    a = p.parse_args()
    data = str(Path(os.environ.get("AKD_DATA", ROOT / ".." / "shared" / "data")) / "cifar100")
    run, told = a.out / "run", list(a.distill)
    if "--teacher" not in told:
        told += ["--teacher", default_teacher(a.out / "teacher")]
    command = [sys.executable, "-m", "akd", "distill", *told, "--out", str(run), "--checkpoint-every", "20s", "--json"]
    watched(command, run, a.out / "copies", a.points)
    measured, folder = akd("evaluate", str(run), "--data", data), RunFolder(run)
    config, result = folder.config(), folder.result()
    kept = {key: measured[key] for key in ("top1", "top5", "agreement", "mean_kl", "n", "params", "teacher_top1")}
    asked = {"budget": config.budget or config.student, "method": result["method"], "seed": result["seed"]}
    asked["teacher"] = load_teacher(config).card.architecture
    points = curve(sorted((a.out / "copies").glob("*.pt"), key=lambda f: int(f.stem)), run, data)
    append(
        a.name, {**asked, **kept, "steps": result["steps"], "seconds": result["seconds"], "curve": points}, folder.environment()
    )


if __name__ == "__main__":
    main()
