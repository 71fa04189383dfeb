"""Nothing that distils can reach a data set: by the code's own imports, and at run time."""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import akd
from akd.wall import DATA_MODULES, Wall, WallError, standing

PACKAGE = Path(akd.__file__).parent
ARCHITECTURE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"


def layers():
    """What docs/architecture.md says, from the bottom up: sets of names that may import each other and what is below."""
    block = ARCHITECTURE.read_text().split("a test reads this list and walks them:")[1].split("Nothing that distils")[0]
    return [set(re.split(r"\s{2,}", line.strip())[0].split(", ")) for line in reversed(block.strip().splitlines())]


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
    rank = {name: level for level, names in enumerate(layers()) for name in names}
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


@pytest.mark.parametrize("names", [("teacher.bin", "train.parquet"), ("teacher.pth", "train.pth")])
def test_the_wall_sees_every_file_and_says_which_kind(names, tmp_path):
    teacher, secret = (tmp_path / name for name in names)
    teacher.write_bytes(b"x"), secret.write_bytes(b"y")
    with standing(Wall(tmp_path / "run")) as wall:
        teacher.read_bytes()
        wall.teacher_is_loaded()
        assert wall.record()["data_free"] is not False  # None: the test process has data modules loaded
        secret.read_bytes()
    record = wall.record()
    assert record["data_free"] is False
    assert record["opened"]["teacher"] == [os.path.realpath(teacher)]
    assert record["opened"]["other"] == [os.path.realpath(secret)]
    with standing(wall):
        teacher.read_bytes()  # a teacher in memory needs its file no more
    assert os.path.realpath(teacher) in wall.record()["opened"]["other"]
    json.dumps(record)


@pytest.mark.parametrize("name", ["photo.PNG", "train-00000.parquet"])
def test_images_that_a_teacher_s_own_code_opens_while_it_loads_are_no_part_of_it(name, tmp_path):
    weights, secret = tmp_path / "teacher.npz", tmp_path / name
    weights.write_bytes(b"x"), secret.write_bytes(b"y")
    with standing(Wall(tmp_path / "run")) as wall:
        weights.read_bytes(), secret.read_bytes()
        wall.teacher_is_loaded()
    record = wall.record()
    assert record["opened"]["teacher"] == [os.path.realpath(weights)]
    assert record["opened"]["other"] == [os.path.realpath(secret)] and record["data_free"] is False


@pytest.mark.parametrize("name", ["mapped.bin", "mapped.parquet"])
def test_the_wall_sees_what_native_code_holds_open(name, tmp_path):
    file = tmp_path / name
    file.write_bytes(b"0" * 4096)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("files that native code holds are read from /proc, which this system has not")
    handle = os.open(file, os.O_RDONLY)
    try:
        early = Wall(tmp_path / "run")  # it was open before the wall stood: nobody can tell what was read from it
        assert early.opened["before"] >= {os.path.realpath(file)} and early.record()["data_free"] is None
        os.close(handle)
        late = Wall(tmp_path / "run")
        late.teacher_is_loaded()
        handle = os.open(file, os.O_RDONLY)  # no wall stands, so the audit hook says nothing; /proc does
        assert late.record()["opened"]["other"] == [os.path.realpath(file)]
    finally:
        os.close(handle)


def test_what_lies_in_the_run_folder_and_is_not_the_run_s_is_told(tmp_path):
    (tmp_path / "images").mkdir()
    own, others = [tmp_path / "checkpoint.pt", tmp_path / "images" / "step-0000050.png"], [tmp_path / "train.npz"]
    others += [tmp_path / "images" / "cat.png"]
    with standing(Wall(tmp_path)) as wall:
        wall.teacher_is_loaded()
        for file in own + others:
            file.write_bytes(b"x"), file.read_bytes()
    record = wall.record()["opened"]
    assert record["run"] == sorted(map(os.path.realpath, own)) and record["other"] == sorted(map(os.path.realpath, others))


CHEATS = {
    "an embedded data set": "from sklearn.datasets import load_digits; load_digits()",
    "shared memory": "open('/dev/shm/akd-test', 'w').close(); open('/dev/shm/akd-test').read()",
    "a shell": "import os; os.system('true')",
    "a forked child": "import os; os.fork() or os._exit(0)",
    "a subprocess": "import subprocess; subprocess.run(['true'])",
    "a connection": "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9))",
}


@pytest.mark.parametrize("code", CHEATS.values(), ids=list(CHEATS))
def test_reaching_for_data_shows_in_the_record(code, tmp_path):
    program = (
        "from pathlib import Path; from akd.wall import Wall, standing\n"
        f"with standing(Wall(Path({str(tmp_path)!r}))) as wall:\n"
        f"    wall.teacher_is_loaded()\n    assert wall.record()['data_free'] is True\n    {code}\n"
        "print(wall.record()['data_free'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False"], done.stderr


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


@pytest.mark.parametrize("name", ["photos-info/set.bin", "x.libs/set.bin", "set.toml", "set.h"])
def test_a_name_as_packages_have_it_proves_nothing_elsewhere(name, tmp_path):
    secret = tmp_path / name
    secret.parent.mkdir(exist_ok=True)
    secret.write_bytes(b"y")
    with standing(Wall(tmp_path / "run")) as wall:
        wall.teacher_is_loaded()
        os.close(os.open(secret, os.O_RDONLY | os.O_EXCL))
    assert wall.record()["opened"]["other"] == [os.path.realpath(secret)] and wall.record()["data_free"] is False
