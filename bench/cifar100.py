"""CIFAR-100: `akd distill`, then `akd evaluate` on the 10,000 real test images; a line in results/.

    python bench/cifar100.py --out runs/10pct -- --teacher runs/teacher --recipe cifar100-10pct
    python bench/cifar100.py --out runs/cpu --name cifar100-cpu -- --budget 10% --time 20m --threads 2

What stands after `--` goes to `akd distill` as it is; without a teacher there, it is the ResNet-56 under AKD_WEIGHTS. AKD_DATA
is the folder that holds cifar100/. The line has the learning curve: the run's snapshots of its student, measured
after it has ended. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from record import ROOT, append

from akd.cli import main as akd_main
from akd.networks.models import load_model, save_model
from akd.runfolder import RunFolder
from akd.teachers import load_teacher


def akd(*arguments: str) -> dict[str, Any]:
    """What a command says, in this process, so that what stops the one stops the other; ends with its exit code if it fails."""
    with redirect_stdout(StringIO()) as said:
        if code := akd_main([*arguments, "--json"]):
            sys.exit(code)
    return json.loads(said.getvalue())


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
    p.add_argument("distill", nargs="*", help="options of `akd distill`, after --")
    a = p.parse_args()
    data = str(Path(os.environ.get("AKD_DATA", ROOT / ".." / "shared" / "data")) / "cifar100")
    run, told = a.out / "run", list(a.distill)
    if "--teacher" not in told:
        told += ["--teacher", default_teacher(a.out / "teacher")]
    akd("distill", *told, "--out", str(run))
    report = akd("report", str(run), "--data", data, "--out", str(a.out / "report.html"))["runs"][0]
    measured, folder = {**report["measured"], "params": report["student"]["params"]}, RunFolder(run)
    config, result = folder.config(), folder.result()
    kept = {key: measured[key] for key in ("top1", "top5", "agreement", "mean_kl", "n", "params", "teacher_top1")}
    asked = {"budget": config.budget or config.student, "method": result["method"], "seed": result["seed"], "time": config.time}
    asked["teacher"] = load_teacher(config).card.architecture
    points = [{key: round(point[key], 2) for key in ("step", "seconds", "top1")} for point in measured["curve"]]
    append(
        a.name, {**asked, **kept, "steps": result["steps"], "seconds": result["seconds"], "curve": points}, folder.environment()
    )


if __name__ == "__main__":
    main()
