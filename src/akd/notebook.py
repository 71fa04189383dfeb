"""What a run writes down as it goes: reports, pictures, checkpoints. Of several processes the first writes for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from akd.errors import ModelError
from akd.files import write_json
from akd.gallery import gallery, layout
from akd.loop import Report
from akd.networks.classifier import Classifier
from akd.networks.models import save_model
from akd.networks.weights import read_state_dict
from akd.runfolder import RunFolder
from akd.state import State
from akd.wall import Wall, together

PICTURES, SNAPSHOTS = 20, 10  # over a run

Watch = Callable[[Report], None]


class Notebook:
    """The run in `state`, kept in `folder`: a checkpoint every `every` seconds, pictures and snapshots at even shares."""

    def __init__(self, folder: RunFolder, state: State, wall: Wall, every: float, watch: Watch):
        self.folder, self.state, self.wall, self.every, self.watch = folder, state, wall, every, watch
        self.group = state.runtime.group
        self.saved_at, self.seen = time.monotonic(), folder.last_report().get("progress", 0.0)
        self.saved = state.step
        self.healthy, self.good, self.good_step = True, _kept(folder) or _copy(state.result), state.step
        self.earlier = folder.earlier_records()

    @property
    def late(self) -> bool:
        return self.group.first and time.monotonic() - self.saved_at >= self.every

    def note(self, report: Report) -> None:
        """A line in metrics.jsonl, a picture now and then, a word to who watches."""
        self.healthy = report.healthy
        if self.healthy:
            self.good, self.good_step = _copy(self.state.result), report.step
        if not self.group.first:
            return
        self.folder.append_metrics(report)
        if self._due(PICTURES, report):
            self.folder.write_picture(report.step, gallery(self.state), layout(self.state.student.card.num_classes).columns)
        if self._due(SNAPSHOTS, report):
            self.folder.write_snapshot(report.step, self.state.result)
        self.seen = report.progress
        try:
            self.watch(report)
        except Exception:  # the caller's own; what was done until then is not to be lost by it
            if self.group.size == 1:  # others would have to take part in saving
                self.save()
            raise

    def _due(self, times: int, report: Report) -> bool:
        """Whether one of `times` even shares of the run was completed since the report before."""
        return int(times * report.progress) > int(times * self.seen)

    def save(self) -> None:
        """The checkpoint and the data-free record; all processes together."""
        records = self.group.all(self.wall.record())
        if self.group.first:
            # Never over a sound state with a broken one: what went wrong would go wrong again after a restart.
            if self.healthy and self.state.finite():
                self.folder.save_checkpoint(self.state.state_dict())
                self.saved = self.state.step
            self._keep(records)
        self.group.same(None)  # nobody leaves before it is written
        self.saved_at = time.monotonic()

    def keep_record(self) -> None:
        """This process's data-free record alone, where the others cannot be asked any more."""
        if self.group.first:
            self._keep([self.wall.record()])

    def _keep(self, records: list[dict[str, Any]]) -> None:
        write_json(self.folder / "data_free.json", together(records, self.earlier))

    def give_up(self, reason: str) -> Path:
        """Write what a run that went wrong leaves: `last-good/`, the student of the last healthy report; `diverged.json`."""
        self.save()
        self.state.result.net.load_state_dict(self.good)
        if self.group.first:
            save_model(self.state.result, self.folder / "last-good")
            write_json(self.folder / "diverged.json", {"step": self.state.step, "reason": reason})
        return self.folder / "last-good"


def _copy(student: Classifier) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in student.net.state_dict().items()}


def _kept(folder: RunFolder) -> dict[str, Tensor]:
    """The last good student of a start that went wrong, which the checkpoint that this one goes on from may not be; or {}."""
    with suppress(ModelError):
        return read_state_dict(folder / "last-good") if (folder / "last-good").exists() else {}
    return {}
