"""`akd quickstart` over seeds, as a user runs it; one line a seed in results/quickstart.jsonl.

python bench/quickstart.py 100 101 102 103 104
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from record import append


def main() -> None:
    for seed in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "akd", "quickstart", "--seed", str(seed), "--out", f"{out}/q", "--json"]
            said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            conditions = json.loads(Path(out, "q", "student-10pct", "environment.json").read_text())
        said.pop("out")
        append("quickstart", said, conditions)


if __name__ == "__main__":
    main()
