"""Nothing that distils can reach a data set: by the code's own imports, and at run time."""

import ast
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import akd
from akd.wall import DATA_MODULES, Wall, WallError, standing

PACKAGE = Path(akd.__file__).parent
LAYERS = [
    {"errors", "files"},
    {"networks", "runtime"},
    {"objectives", "synthesis"},
    {"methods"},
    {"config"},
    {"state", "loop"},
    {"wiring", "wall", "runfolder", "delivery"},
    {"runner", "evaluation"},
    {"api", "quickstart"},
    {"cli"},
    {"__main__", "__init__"},
]


def imports(file):
    """Modules of akd that a file names anywhere in it, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "akd":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if (PACKAGE.parent / (full.replace(".", "/") + ".py")).exists() else node.module)
        elif isinstance(node, ast.Import):
            found.update(a.name for a in node.names if a.name.split(".")[0] == "akd")
    return found


def file_of(module):
    spec = find_spec(module)
    assert spec and spec.origin
    return Path(spec.origin)


def test_nothing_that_distils_imports_what_reads_data():
    seen, queue = set(), ["akd.runner"]
    while queue:
        module = queue.pop()
        if module in seen or module == "akd":
            continue
        seen.add(module)
        text = file_of(module).read_text()
        assert not module.startswith("akd.evaluation"), module
        for name in ("sklearn", "pyarrow", "torchvision.datasets"):
            assert f"import {name}" not in text and f"from {name}" not in text, (module, name)
        queue += imports(file_of(module))
    assert {"akd.loop", "akd.state", "akd.methods.dfad", "akd.synthesis.online"} <= seen


def test_imports_run_downward():
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    for file in PACKAGE.rglob("*.py"):
        here = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for module in imports(file) - {"akd"}:
            there = module.split(".")[1]
            assert rank[there] <= rank[here], f"{file.name} ({here}) imports {module}, which is above it"
            if here == "evaluation":
                assert there != "runner"


def test_importing_the_runner_loads_no_module_that_reads_data():
    code = f"import sys, akd.runner; print([m for m in {DATA_MODULES!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_wall_sees_every_file_and_says_which_kind(tmp_path):
    teacher, secret = tmp_path / "teacher.bin", tmp_path / "train.parquet"
    teacher.write_bytes(b"x"), secret.write_bytes(b"y")
    with standing(Wall(tmp_path / "run")) as wall:
        teacher.read_bytes()
        wall.teacher_is_loaded()
        teacher.read_bytes()
        assert wall.record()["data_free"]
        secret.read_bytes()
    record = wall.record()
    assert not record["data_free"]
    assert record["opened"]["teacher"] == [os.path.realpath(teacher)] and record["opened"]["other"] == [
        os.path.realpath(secret)
    ]
    json.dumps(record)


def test_the_wall_sees_what_native_code_holds_open(tmp_path):
    file = tmp_path / "mapped.bin"
    file.write_bytes(b"0" * 4096)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("files that native code holds are read from /proc, which this system has not")
    handle = os.open(file, os.O_RDONLY)
    try:
        wall = Wall(tmp_path / "run")
        wall.teacher_is_loaded()
        wall.loading_teacher = False
        assert os.path.realpath(file) in wall.opened["teacher"]
    finally:
        os.close(handle)


def test_the_wall_refuses_to_import_what_reads_data(tmp_path):
    code = (
        "from pathlib import Path; from akd.wall import Wall, standing\n"
        f"with standing(Wall(Path({str(tmp_path)!r}))):\n"
        "    import akd.evaluation.data\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and WallError.__name__ in done.stderr


def test_outside_the_wall_nothing_is_recorded(tmp_path):
    with standing(Wall(tmp_path / "run")) as wall:
        wall.teacher_is_loaded()
    (tmp_path / "later.txt").write_text("x")
    assert not wall.opened["other"]
