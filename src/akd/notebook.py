"""What a run writes down as it goes: reports, pictures, checkpoints. Of several processes the first writes for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from akd.errors import ModelError
from akd.files import write_json
from akd.loop import Report
from akd.networks.classifier import Classifier
from akd.networks.models import save_model
from akd.networks.weights import read_state_dict
from akd.runfolder import RunFolder
from akd.state import State
from akd.wall import Wall, together

GRIDS = 20

Watch = Callable[[Report], None]


class Notebook:
    """The run in `state`, kept in `folder`: a checkpoint every `every` seconds, GRIDS pictures over the run."""

    def __init__(self, folder: RunFolder, state: State, wall: Wall, every: float, watch: Watch, progress: float):
        self.folder, self.state, self.wall, self.every, self.watch = folder, state, wall, every, watch
        self.group = state.runtime.group
        self.saved_at, self.next_grid = time.monotonic(), progress
        self.saved = state.step
        self.healthy, self.good = True, _kept(folder) or _copy(state.result)
        self.earlier = folder.earlier_records()

    @property
    def late(self) -> bool:
        return self.group.first and time.monotonic() - self.saved_at >= self.every

    def note(self, report: Report) -> None:
        """A line in metrics.jsonl, a picture now and then, a word to who watches."""
        self.healthy = report.healthy
        if self.healthy:
            self.good = _copy(self.state.result)
        if not self.group.first:
            return
        self.folder.append_metrics(report)
        if report.progress >= self.next_grid:
            self.folder.write_grid(report)
            self.next_grid += 1 / GRIDS
        try:
            self.watch(report)
        except Exception:  # the caller's own; what was done until then is not to be lost by it
            if self.group.size == 1:  # others would have to take part in saving
                self.save()
            raise

    def save(self) -> None:
        """The checkpoint and the data-free record; all processes together."""
        records = self.group.all(self.wall.record())
        if self.group.first:
            # Never over a sound state with a broken one: what went wrong would go wrong again after a restart.
            if self.healthy and self.state.finite():
                self.folder.save_checkpoint(self.state.state_dict())
                self.saved = self.state.step
            write_json(self.folder / "data_free.json", together(records, self.earlier))
        self.group.same(None)  # nobody leaves before it is written
        self.saved_at = time.monotonic()

    def save_last_good(self) -> Path:
        """The student as it was at the last healthy report, as a model folder."""
        self.state.result.net.load_state_dict(self.good)
        if self.group.first:
            save_model(self.state.result, self.folder / "last-good")
        return self.folder / "last-good"


def _copy(student: Classifier) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in student.net.state_dict().items()}


def _kept(folder: RunFolder) -> dict[str, Tensor]:
    """The last good student of a start that went wrong, which the checkpoint that this one goes on from may not be; or {}."""
    with suppress(ModelError):
        return read_state_dict(folder / "last-good") if (folder / "last-good").exists() else {}
    return {}
