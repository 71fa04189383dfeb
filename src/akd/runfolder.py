"""A run's folder: like a lab notebook, complete at every moment. Everything is written to one side and renamed into place."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from akd import __version__
from akd.config import Run, from_dict, from_yaml, to_dict, to_yaml
from akd.errors import AkdError, ConfigError, brief, shortened
from akd.files import hardly_begun, lacking, near, one_line, remove_half_written, write_bytes, write_json, write_text
from akd.gallery import picture
from akd.loop import Report
from akd.networks.classifier import Classifier
from akd.networks.models import packed
from akd.runtime import Runtime, cpu_capabilities
from akd.strict import difference

MOST = 4  # differences that one line tells
MAGIC = b"akd-checkpoint-1 "


class RunFolder:
    """The files of one run under `path`: the README.md of a finished run lists them."""

    def __init__(self, path: Path):
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def result(self) -> dict[str, Any]:
        """What a finished run left in `result.json`; {} where the run is not finished."""
        return json_object(self.path / "result.json")

    def last_report(self) -> dict[str, Any]:
        """The last line of `metrics.jsonl`, as `append_metrics` wrote it; {} where there is none, or it is half-written."""
        try:
            value = json.loads((self.path / "metrics.jsonl").read_text().splitlines()[-1])
        except (OSError, IndexError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def config(self) -> Run:
        """The run's record. ConfigError where the folder is no run's, or one of another akd's."""
        file = self.path / "config.yaml"
        if hardly_begun(self.path):
            raise ConfigError(lacking(self.path, "checkpoint"))
        if not file.exists():
            raise ConfigError(f"{self.path} is no run folder{near(self.path)}; give one that `akd distill --out` made")
        with one_line(file):
            return from_dict(from_yaml(file.read_text(errors="replace")))

    def environment(self) -> dict[str, Any]:
        """Where the run ran, as `write_environment` left it; {} where it is not there."""
        return json_object(self.path / "environment.json")

    def threads(self) -> int | None:
        """How many threads computed the run: sums on others are rounded otherwise. None where nothing tells."""
        count = self.environment().get("threads")
        return count if type(count) is int and count > 0 else None

    def earlier_records(self) -> list[dict[str, Any]]:
        """What the processes that worked on this run before opened."""
        record = json_object(self.path / "data_free.json")
        earlier = record.pop("earlier_processes", [])
        return [*earlier, record] if record else []

    def at_work(self) -> bool:
        """Whether a process is at work on the run now."""
        with contextlib.suppress(OSError), open(self.path / ".lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    @contextlib.contextmanager
    def claimed(self, run: Run, must_resume: bool = False) -> Iterator[bool]:
        """Hold the folder for `run`; the value tells whether there is a checkpoint to go on from.

        ConfigError where it holds something else: another run's config (with the difference), or files of no run at all.
        """
        with one_line(self.path):
            created = [p for p in (self.path, *self.path.parents) if not p.exists()]
            # Dot files are the lock, and what a kill left half-written to one side.
            occupied = self.path.exists() and any(not p.name.startswith(".") for p in self.path.iterdir())
            self._check_same(run, occupied, must_resume)
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "w")  # noqa: SIM115 (held until the run ends)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another process is at work in {self.path}; wait for it or choose another --out") from error
        with lock:
            try:
                if occupied:
                    remove_half_written(
                        self.path, *(self.path / name for name in ("student", "images", "snapshots", "last-good"))
                    )
                yield (self.path / "checkpoint.pt").exists()
            finally:
                if created and [p.name for p in self.path.iterdir()] == [".lock"]:  # it failed at the door
                    (self.path / ".lock").unlink()
                    for folder in created:
                        folder.rmdir()

    def write_config(self, run: Run) -> None:
        if not (self.path / "config.yaml").exists():
            write_text(self.path / "config.yaml", to_yaml(run))

    def _check_same(self, run: Run, occupied: bool, must_resume: bool) -> None:
        config = self.path / "config.yaml"
        if not config.exists():
            if occupied:
                raise ConfigError(f"{self.path} holds files that are no run's; choose another --out")
            if must_resume:
                raise ConfigError(f"nothing to resume in {self.path}; leave --resume out to start there")
            return
        try:
            old, new = from_yaml(config.read_text()), to_dict(run)
        except (OSError, UnicodeDecodeError, RecursionError, ConfigError) as error:
            raise ConfigError(f"{config} cannot be read ({shortened(error)}); choose another --out") from error
        if changed := difference(old, new):
            raise ConfigError(
                f"{self.path} holds a run of another config ({'; '.join(changed[:MOST])}{' …' * (len(changed) > MOST)}); "
                "choose another --out, or give the same options to go on"
            )

    def write_environment(self, runtime: Runtime, teacher_digest: str) -> None:
        """Where the run ran, and which teacher it had. Refuses to go on with another teacher."""
        file = self.path / "environment.json"
        now = {**environment(runtime), "teacher_sha256": teacher_digest}
        before = json_object(file)
        if before.get("teacher_sha256", teacher_digest) != teacher_digest:
            raise ConfigError(f"the teacher's weights are not those that {self.path} began with; choose another --out")
        if before.get("precision", now["precision"]) != now["precision"]:
            raise ConfigError(
                f"{self.path} began in {before['precision']} and this would go on in {now['precision']}; "
                "go on where it began, or choose another --out"
            )
        write_json(file, now)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        payload = io.BytesIO()
        torch.save(state, payload)
        # Released whatever happens: a traceback that holds on to it makes Python 3.12 crash at its end.
        with payload.getbuffer() as body:
            write_bytes(self.path / "checkpoint.pt", MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n", body)

    def load_checkpoint(self, name: str = "checkpoint.pt") -> dict[str, Any]:
        """The saved state; AkdError where the file is damaged. No code in it is ever run."""
        file = self.path / name
        with one_line(file):
            head, _, body = file.read_bytes().partition(b"\n")
        if head != MAGIC + hashlib.sha256(body).hexdigest().encode():
            raise AkdError(f"{file} is damaged (its digest does not fit); delete the run folder and start again")
        try:
            return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        except Exception as error:
            raise AkdError(f"{file} is no checkpoint of this akd ({brief(error, 80)}); choose another --out") from error

    def rewind(self, step: int) -> None:
        """Forget what was written of steps after `step`, which are about to be run again, and that the run went wrong."""
        (self.path / "diverged.json").unlink(missing_ok=True)
        for late in [*(self.path / "snapshots").glob("step-*"), *(self.path / "images").glob("step-*")]:
            if _step_in(late) > step:
                late.unlink()
        file = self.path / "metrics.jsonl"
        if file.exists():
            with one_line(file):
                lines = file.read_text(errors="replace").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_text(file, "".join(line + "\n" for line in kept))

    def append_metrics(self, report: Report) -> None:
        line = {
            "step": report.step,
            "seconds": round(report.seconds, 3),
            "progress": report.progress,
            "probe_agreement": report.agreement,
            "probe_kl": report.probe_kl,
            **report.losses,
        }
        plain = {name: value if math.isfinite(value) else None for name, value in line.items()}
        with one_line(self.path), open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(plain) + "\n")

    def write_picture(self, step: int, images: Tensor, columns: int) -> None:
        """`images/step-N.png`: what the maker made at that step, class by class, as `gallery.read` reads it back."""
        self._write_at(step, "images", "png", picture(images, columns))

    def write_snapshot(self, step: int, student: Classifier) -> None:
        """`snapshots/step-N.safetensors`: the student as it would have been handed over then, its large tensors in 16 bit."""
        state = student.net.state_dict().items()
        small = {name: value.half() if value.is_floating_point() and value.ndim > 1 else value for name, value in state}
        self._write_at(step, "snapshots", "safetensors", packed(small))

    def snapshots(self) -> dict[int, Path]:
        """The snapshots by step, the earliest first."""
        found = {_step_in(file): file for file in (self.path / "snapshots").glob("step-*.safetensors")}
        return {step: found[step] for step in sorted(found)}

    def _write_at(self, step: int, folder: str, suffix: str, content: bytes) -> None:
        with one_line(self.path / folder):
            (self.path / folder).mkdir(exist_ok=True)
        write_bytes(self.path / folder / f"step-{step:07d}.{suffix}", content)


def environment(runtime: Runtime) -> dict[str, Any]:
    """Device, versions, threads: the conditions beside every number."""
    cuda = runtime.device.type == "cuda"
    cpu = cpu_capabilities().get("cpu_name") or platform.machine()
    return {
        "device": torch.cuda.get_device_name(runtime.device) if cuda else cpu,
        "precision": str(runtime.dtype).removeprefix("torch."),
        "cuda_graphs": runtime.graphs,
        "threads": torch.get_num_threads(),
        "processes": runtime.group.size,
        "akd": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()}",
        "command": shlex.join(["akd" if Path(sys.argv[0]).name in ("akd", "__main__.py") else sys.argv[0], *sys.argv[1:]]),
        "cwd": os.getcwd(),
    }


def json_object(file: Path) -> dict[str, Any]:
    """What a JSON file holds; {} where there is none or it cannot be read."""
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _step_in(file: Path) -> int:
    digits = file.stem.removeprefix("step-")
    return int(digits) if digits.isdecimal() else 0


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a kill
