"""`akd bench` as a user runs it; its cells go to results/NAME.jsonl, one line each.

python bench/small.py methods --seeds 0,1,2
python bench/small.py ablation --ablate akd --seeds 0,1,2
"""

from __future__ import annotations

import json
import subprocess
import sys

from record import append


def main() -> None:
    name, *rest = sys.argv[1:]
    command = [sys.executable, "-m", "akd", "bench", *rest, "--json"]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    teachers = dict(zip(dict.fromkeys(cell["seed"] for cell in said["cells"]), said["teacher_top1"], strict=True))
    for cell in said["cells"]:
        append(name, {"task": said["task"], "teacher_top1": teachers[cell["seed"]], **cell}, cell)


if __name__ == "__main__":
    main()
