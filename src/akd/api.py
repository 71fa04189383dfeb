"""What a user imports: the command line's work as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from akd.config import Run, from_dict
from akd.loop import Report
from akd.methods import Method
from akd.networks.classifier import Classifier
from akd.networks.models import load_model
from akd.runner import Outcome, execute

if TYPE_CHECKING:
    from akd.evaluation.metrics import Evaluation

IN_MEMORY = "a model in memory"
LISTED = ("mean", "std", "input_size")
Numbers = Sequence[float] | Tensor | NDArray[Any]


def plain(values: Any) -> Any:
    """A list of Python's numbers from a sequence, array or tensor of any shape; what is none comes back as it is.

    Of float32 the shortest decimal that means it, so that 0.507 is 0.507 in whatever it came.
    """
    if values is None or isinstance(values, str):
        return values
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values).ravel()
    except (TypeError, ValueError, RuntimeError):
        return values
    if array.dtype.kind == "f":
        return [float(str(value)) for value in array]
    return array.tolist() if array.dtype.kind in "iu" else values


def load_teacher(
    source: str | Path,
    *,
    arch: str | None = None,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    input_size: Numbers | None = None,
    label_names: Sequence[str] | None = None,
) -> Classifier:
    """The frozen classifier at `source`: images [B, C, H, W] in 0..1 -> logits [B, num_classes].

    source: a model folder, a run folder, a weights file with `arch`, "package.module:factory", "hf-hub:owner/repo[@rev]" or
    "timm:NAME". mean, std: per channel, for pixels in 0..1, in a list, array or tensor. Raises ModelError, in one line that
    names the remedy.
    """
    return load_model(
        str(source),
        arch=arch,
        weights=None if weights is None else str(weights),
        num_classes=num_classes,
        mean=plain(mean),
        std=plain(std),
        input_size=plain(input_size),
        label_names=label_names,
    )


def distill(
    teacher: str | Path | Mapping[str, Any] | Classifier,
    *,
    out: str | Path,
    budget: str | None = None,
    student: str | None = None,
    method: str | Mapping[str, Any] | Method | None = None,
    steps: int | None = None,
    time: str | float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    watch: Callable[[Report], None] = lambda report: None,
) -> Outcome:
    """Distil `teacher` into a small student without data; the run folder `out` holds everything, `.student` the result.

    teacher: as for `load_teacher`, a mapping of its arguments ({"source": ..., "arch": ...}), or a Classifier.
    budget: "10%" (of the teacher's parameters; the default), "2.1M" or "100MMACs"; or `student`, an architecture's name.
    steps: student steps; or time: "10m" or seconds. method: a name, or {"name": ..., knob: value}.
    Calling it again with the same arguments goes on where it was interrupted. Raises AkdError and its kinds.
    """
    values: dict[str, Any] = {"budget": budget, "student": student, "steps": steps, "seed": seed, "device": device}
    values |= {"precision": precision, "threads": threads}
    values["time"] = time
    if budget is None and student is None:
        values["budget"] = "10%"
    if method is not None:
        values["method"] = dict(method) if isinstance(method, Mapping) else method
    given = teacher if isinstance(teacher, Classifier) else None
    if given is not None:
        values["teacher"] = {"source": IN_MEMORY}
    else:
        values["teacher"] = dict(teacher) if isinstance(teacher, Mapping) else {"source": str(teacher)}
        values["teacher"] |= {name: plain(values["teacher"][name]) for name in LISTED if name in values["teacher"]}
    run: Run = from_dict(values)
    return execute(run, Path(out), teacher=given, watch=watch)


def evaluate(model: Classifier | str | Path, data: str | Path, teacher: Classifier | str | Path | None = None) -> Evaluation:
    """Measure `model` on a test set: accuracy, calibration, sizes, and agreement where a `teacher` is given.

    data: parquet, CIFAR pickles, image folder, .npz (see `akd.evaluation.data`) or "digits". Percentages are 0..100.
    """
    # Here, not above: what distils must never import what reads data.
    from akd.evaluation.data import load_test_set
    from akd.evaluation.metrics import evaluate as measure

    def loaded(named: Classifier | str | Path) -> Classifier:
        return named if isinstance(named, Classifier) else load_model(str(named))

    network = loaded(model)
    return measure(network, load_test_set(str(data), network.card), None if teacher is None else loaded(teacher))
