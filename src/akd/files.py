"""Files that are whole or not there: written to one side, flushed, renamed into place."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from akd.errors import AkdError, ConfigError, closest

HALF_WRITTEN = ".akd-half-written"


def write_bytes(file: Path, *chunks: bytes | memoryview) -> None:
    """Write to one side, flush to the disk, rename into place: `file` is whole or not there at all."""
    with one_line(file):
        _refuse_device(file)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=HALF_WRITTEN, dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                for chunk in chunks:
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`, which is made: for libraries that write files themselves, to be put in place by
    `place`. It is gone afterwards."""
    with one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stage = tempfile.TemporaryDirectory(prefix=".", suffix=HALF_WRITTEN, dir=folder)
    with stage as name:
        yield Path(name)


def place(staged: Path, file: Path) -> None:
    """Flush `staged` to the disk and rename it to `file`, on the same file system."""
    with one_line(file):
        _refuse_device(file)
        with open(staged, "rb") as content:
            os.fsync(content.fileno())
        os.replace(staged, file)


def _refuse_device(file: Path) -> None:
    """A rename would put a file in the place of a device or a pipe: for a superuser, of /dev/null."""
    if file.exists() and not file.is_file() and not file.is_dir():
        raise ConfigError(f"cannot write {file}: it is a device or a pipe; name a file")


def remove_half_written(*folders: Path) -> None:
    """Remove what a kill left to one side in these folders."""
    for folder in folders:
        for stale in folder.glob(f".*{HALF_WRITTEN}"):
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)


def hardly_begun(folder: Path) -> bool:
    """Whether this is the folder of a run that was killed before it wrote anything down: there is a lock and no more."""
    return (folder / ".lock").exists() and all(file.name.startswith(".") for file in folder.iterdir())


def lacking(run: Path, what: str) -> str:
    """That the run in the folder `run` has not come so far as to have `what`, and what to do about it."""
    if (run / "diverged.json").exists():
        return f"the run in {run} went wrong and has no {what}; its last good student is in {run / 'last-good'}"
    with_config = shlex.join(["akd", "distill", "--config", str(run / "config.yaml"), "--out", str(run)])
    command = with_config if (run / "config.yaml").exists() else "the akd distill command that began it"
    return f"the run in {run} has no {what} yet; if it was stopped, go on with it: {command}"


def near(path: Path) -> str:
    """ "; did you mean 'runs/first/student'?" for a path that is not there, where something of nearly its name is; else ''."""
    with contextlib.suppress(OSError, ValueError):
        missing = next((part for part in reversed([path, *path.parents]) if not os.path.exists(part)), path)
        if close := closest(missing.name, (file.name for file in missing.parent.iterdir() if file != missing)):
            whole = missing.parent / close / path.relative_to(missing)
            return f"; did you mean {str(whole if whole.exists() else missing.parent / close)!r}?"
    return ""


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(file: Path, text: str) -> None:
    write_bytes(file, text.encode())


def write_json(file: Path, value: Any) -> None:
    write_text(file, json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one line with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AkdError(f"no space left to write {path}; free some, then start the same command to go on") from error
        raise ConfigError(f"cannot use {path}: {error.strerror}; choose another folder") from error
