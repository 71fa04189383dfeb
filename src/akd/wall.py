"""The wall: evidence that no data was touched. What the process opens, imports, connects to and starts while it distils.

Python's audit hook (PEP 578) sees every file that Python code opens; files that native code maps or holds open are read
from /proc where there is one, whenever the record is written. While the wall stands, importing `akd.evaluation` is refused.
It is a record of what honest code did, not a prison: native code that opens and closes a file between two looks is not seen.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from akd.errors import AkdError

DATA_MODULES = ("akd.evaluation", "sklearn", "pyarrow", "torchvision.datasets", "datasets", "webdataset")
SYSTEM = ("/proc/", "/sys/", "/etc/", "/usr/lib/", "/usr/share/", "/lib/", "/lib64/", "/var/cache/ldconfig/")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/tty", "/dev/pts/", "/dev/nvidia", "/dev/dri/")
CODE = (".py", ".pyc", ".so", ".dll", ".dylib")
BESIDE_CODE = (".pyi", ".cu", ".h", ".toml", ".typed")
METADATA = ("PKG-INFO", "METADATA", "RECORD", "entry_points.txt", "top_level.txt", "direct_url.json")
OF_A_RUN = re.compile(
    r"(config\.yaml|environment\.json|metrics\.jsonl|data_free\.json|diverged\.json|checkpoint\.pt|result\.json|README\.md|\.lock"
    r"|(student|last-good)/(model\.safetensors|config\.json)|(images|snapshots)/step-\d+\.\w+)$"
    r"|([^/]+/)?\.[^/]+\.akd-half-written"
)  # another file there was put there by somebody else
NO_TEACHER = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".parquet",
    ".arrow",
    ".csv",
    ".tfrecord",
    ".mdb",
)
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")
_standing: list[Wall] = []
_installed = False


class WallError(AkdError):
    """Something that distils reached for a data set."""


class Wall:
    """The record of one process's distillation; `record()` is what `data_free.json` holds."""

    def __init__(self, run_folder: Path):
        self.run_folder = str(run_folder.resolve()) + os.sep
        self.loading_teacher = True
        self.opened: dict[str, set[str]] = {kind: set() for kind in ("teacher", "run", "code", "system", "before", "other")}
        self.written: set[str] = set()
        self.started: dict[str, set[str]] = {"teacher": set(), "other": set()}
        self.network: dict[str, set[str]] = {"teacher": set(), "other": set()}
        self.refused: set[str] = set()
        self.loaded_before = sorted(name for name in DATA_MODULES if name in sys.modules)
        for path in _held_by_native_code():
            kind = self._kind(path, held=True)
            self.opened["before" if kind in ("teacher", "other") else kind].add(path)

    def saw(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            path, flags = os.fsdecode(args[0]), args[2] or 0
            only_written = flags & os.O_ACCMODE == os.O_WRONLY or (flags & os.O_EXCL and flags & os.O_CREAT)
            self.written.add(os.path.realpath(path)) if only_written else self.note_file(path, held=False)
        elif event == "import" and str(args[0]).startswith("akd.evaluation"):
            self.refused.add(str(args[0]))
            raise WallError("akd.evaluation reads data sets and cannot be imported while distilling; evaluate afterwards")
        elif event == "socket.connect":
            self.network[self._phase].add(str(args[1]))
        elif event in STARTS:
            self.started[self._phase].add(f"{event} {args[0] if args else ''}".strip())

    def teacher_is_loaded(self) -> None:
        """What was opened so far and is neither code nor the system's was opened for the teacher, unless it is a file of images
        or a table, which no teacher is loaded from; nothing else may follow."""
        self._note_native()
        self.loading_teacher = False

    @property
    def _phase(self) -> str:
        return "teacher" if self.loading_teacher else "other"

    def note_file(self, name: str, held: bool) -> None:
        """A file that was opened now, or that is `held` open or mapped since an earlier moment."""
        path = os.path.realpath(name)
        if os.path.exists(path):  # a look at what is not there read nothing
            self.opened[self._kind(path, held)].add(path)

    def _kind(self, path: str, held: bool) -> str:
        # A teacher in memory has no need of its files: whoever opens one of them again is reading something else in it.
        for kind in ("teacher", "before"):
            if held and path in self.opened[kind]:
                return kind
        if path.startswith(self.run_folder) and OF_A_RUN.match(path, len(self.run_folder)):
            return "run"
        if path.endswith(CODE) or ".so." in path or _beside_code(Path(path)):
            return "code"
        if path == os.path.realpath(sys.executable) or (path.startswith(_python_itself()) and "-packages" not in path):
            return "code"
        if path.startswith((*SYSTEM, *DEVICES)):
            return "system"
        return "other" if path.lower().endswith(NO_TEACHER) else self._phase

    def _note_native(self) -> None:
        for path in _held_by_native_code():
            self.note_file(path, held=True)

    def record(self) -> dict[str, Any]:
        """JSON-ready: files by kind (code and system files counted), what was started, connected to, loaded; of what
        was written what is still there.

        `data_free` is false where anything but the teacher, code and the system was reached for, and null where a module
        that reads data sets was in the process before (as in a notebook): then the record cannot tell.
        """
        self._note_native()
        loaded = sorted(name for name in DATA_MODULES if name in sys.modules and name not in self.loaded_before)
        counted = {f"{kind}_files": len(self.opened[kind]) for kind in ("code", "system")}
        named = {kind: sorted(self.opened[kind]) for kind in ("teacher", "run", "before", "other")}
        found = {
            "opened": {**named, **counted},
            "written": sorted(path for path in self.written if not path.startswith(self.run_folder) and os.path.exists(path)),
            "started": {phase: sorted(programs) for phase, programs in self.started.items()},
            "network": {phase: sorted(addresses) for phase, addresses in self.network.items()},
            "data_modules_loaded_before": self.loaded_before,
            "data_modules_loaded_while_distilling": loaded,
            "refused": sorted(self.refused),
        }
        clean = not reached(found)
        return {"data_free": None if clean and (self.loaded_before or self.opened["before"]) else clean, **found}


def together(now: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a run that several processes worked on: of those that do now the first one's, with the others' in it, and
    those of earlier ones. The verdict is the worst of all."""
    first, *others = now
    verdicts = [record.get("data_free", False) for record in (*now, *earlier)]
    verdict = False if False in verdicts else None if None in verdicts else True
    return {**first, "data_free": verdict, "other_processes": others, "earlier_processes": earlier}


def reached(record: dict[str, Any]) -> list[str]:
    """What a run reached for beyond its teacher, of all processes that worked on it: files, programs, addresses, modules."""
    found = [record.get(kind, {}).get("other", []) for kind in ("opened", "started", "network")]
    found += [record.get(kind, []) for kind in ("data_modules_loaded_while_distilling", "refused")]
    others = [*record.get("other_processes", []), *record.get("earlier_processes", [])]
    return list(dict.fromkeys([*itertools.chain(*found), *itertools.chain(*map(reached, others))]))


def _beside_code(path: Path) -> bool:
    """What lies beside code in an installed package. Elsewhere, where such a name proves nothing, only a package's metadata."""
    if path.name in METADATA and path.parent.suffix in (".egg-info", ".dist-info"):
        return True
    inner = Path(str(path).rpartition("-packages/")[2])
    named = any(part.endswith(("-info", ".lib", ".libs")) for part in inner.parts)
    return inner != path and (named or path.suffix in BESIDE_CODE)


def _python_itself() -> tuple[str, ...]:
    """Where the standard library lives; installed packages may hold data, so of them only code counts as code."""
    return tuple(os.path.realpath(sysconfig.get_paths()[name]) + os.sep for name in ("stdlib", "platstdlib"))


def _held_by_native_code() -> set[str]:
    """Files mapped into memory, and files held open for reading other than the standard streams; none without /proc."""
    held: set[str] = set()
    for link in Path("/proc/self/fd").glob("*") if os.path.isdir("/proc/self/fd") else ():
        try:
            flags = int(Path(f"/proc/self/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
            if int(link.name) > 2 and flags & os.O_ACCMODE != os.O_WRONLY:
                held.add(os.readlink(link))
        except OSError:
            continue
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        maps = ""
    held.update(line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count("/"))
    return {path for path in held if path.startswith("/") and os.path.isfile(path)}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for wall in _standing:
        wall.saw(event, args)


@contextmanager
def standing(wall: Wall) -> Iterator[Wall]:
    """While inside, `wall` records and refuses."""
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    _standing.append(wall)
    try:
        yield wall
    finally:
        _standing.remove(wall)
