#!/usr/bin/env python3
"""One command from a fresh clone: sets up `.venv` on first use, then does what is asked.

    python3 run.py quickstart      train, distil and measure on handwritten digits (any akd command works the same way)
    python3 run.py test            the whole test suite
    python3 run.py check           lint, types and the quick tests

Needs Python 3.11 or newer with pip. Delete `.venv` to set up anew.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up-for"


def set_up() -> None:
    """Create the environment and install akd into it with pinned dependencies, unless that was done for these files."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print(f"setting up {VENV} (once; it downloads PyTorch)", file=sys.stderr, flush=True)
    # Without its own pip: Debian's Python has no ensurepip, and the pip at hand can install into any environment.
    venv.create(VENV, clear=True, with_pip=False, symlinks=True)
    install = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", "constraints.txt", "-e", ".[dev]"], cwd=ROOT, check=True, stdout=sys.stderr)
    STAMP.write_text(wanted)


def main() -> int:
    if sys.version_info < (3, 11):
        sys.exit(f"akd needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    try:
        set_up()
    except subprocess.CalledProcessError:
        sys.exit("setting up failed: see pip's words above; it needs the network (or a package mirror) and some GB of disk")
    asked, rest = sys.argv[1], sys.argv[2:]
    tests = [PYTHON, "-m", "pytest", *rest]
    if asked == "test":
        return subprocess.call(tests, cwd=ROOT)
    if asked == "check":
        steps = [
            [PYTHON, "-m", "ruff", "check"],
            [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "src", "tests", "bench", "run.py"],
        ]
        steps += [[PYTHON, "-m", "mypy"], [*tests, "-m", "not slow"]]
        return next((code for step in steps if (code := subprocess.call(step, cwd=ROOT))), 0)
    return subprocess.call([PYTHON, "-m", "akd", asked, *rest])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
