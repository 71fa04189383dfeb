"""What a user imports: the command line's work as functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from akd.config import Run, from_dict
from akd.errors import ConfigError, shortened
from akd.files import write_text
from akd.loop import Report
from akd.methods import Method
from akd.networks.classifier import Classifier, ModelCard
from akd.networks.models import load_model
from akd.runfolder import RunFolder, environment
from akd.runner import Outcome, execute
from akd.runtime import make_runtime
from akd.teachers import teacher_of

if TYPE_CHECKING:
    from akd.delivery.export import Export, Samples
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


def _plainly(teacher: Any) -> Any:
    """Sources as `distill` takes them, their numbers plain."""
    if isinstance(teacher, Mapping):
        return {name: plain(value) if name in LISTED else value for name, value in teacher.items()}
    if isinstance(teacher, (str, Path)):
        return str(teacher)
    if not isinstance(teacher, Sequence) or not teacher:
        raise ConfigError(
            f"a teacher is a path, a Classifier, a mapping or a list of these, not {shortened(repr(teacher), 40)}"
        )
    return [_plainly(one) for one in teacher]


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
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | Classifier,
    *,
    out: str | Path,
    budget: str | None = None,
    student: str | None = None,
    method: str | Mapping[str, Any] | Method | None = None,
    ideas: str | Sequence[str] | Mapping[str, Any] = (),
    steps: int | None = None,
    time: str | float | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    watch: Callable[[Report], None] = lambda report: None,
) -> Outcome:
    """Distil `teacher` into a small student without data; the run folder `out` holds everything, `.student` the result.

    teacher: as for `load_teacher`, a mapping of its arguments ({"source": ..., "arch": ...}), a list of these, or a Classifier.
    budget: "10%" (of the teacher's parameters; the default), "2.1M" or "100MMACs"; or `student`, an architecture's name.
    steps: student steps; or time: "10m" or seconds. method: a name, or {"name": ..., knob: value};
    ideas: names, or {name: {knob: value}}, of what `akd methods` lists beside the methods.
    Calling it again with the same arguments goes on where it was interrupted. Raises AkdError and its kinds.
    """
    values: dict[str, Any] = {"budget": budget, "student": student, "steps": steps, "seed": seed, "device": device}
    values |= {"precision": precision, "threads": threads}
    values |= {"time": time, "ideas": ideas}
    if budget is None and student is None:
        values["budget"] = "10%"
    if method is not None:
        values["method"] = dict(method) if isinstance(method, Mapping) else method
    given = teacher if isinstance(teacher, Classifier) else None
    if given is not None:
        values["teacher"] = {"source": IN_MEMORY}
    else:
        values["teacher"] = _plainly(teacher)
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


def export(
    model: Classifier | str | Path,
    out: str | Path | None = None,
    *,
    formats: Sequence[str] | None = None,
    data: str | Path | None = None,
    normalise: bool = True,
    softmax: bool = False,
    push_dir: str | Path | None = None,
    run: str | Path | None = None,
) -> Export:
    """Write `model` for other runtimes into the folder `out`, each file read back and compared with it.

    out: by default `export` in the run or model folder `model`. formats: some of "safetensors", "onnx", "int8", "pt2"; by
    default all that the installed packages allow. data: a test set to compare on too. push_dir: a folder for the Hugging Face
    hub, with a card. run: the run whose images are compared on and whose history the card tells; by default `model`.
    Raises Disagreement, an AkdError, where a file differs from the model: that file is not kept.
    """
    from akd.delivery.export import CALIBRATION, COMPARED, Samples, export_model
    from akd.delivery.formats import chosen
    from akd.delivery.hub import check_free, write_hub_folder
    from akd.delivery.synthetic import images_of

    student = model if isinstance(model, Classifier) else load_model(str(model))
    home = Path(run) if run is not None else None if isinstance(model, Classifier) else Path(model)
    if out is None:
        if home is None or not home.is_dir():
            raise ConfigError("where to? give --out DIR for the exported files")
        out = home / "export"
    names = chosen(formats)
    if push_dir is not None:
        check_free(Path(push_dir))
    synthetic = Samples(*images_of(home, student.card, CALIBRATION + COMPARED))
    test = None if data is None else _samples(data, student.card)
    done = export_model(student, Path(out), names, synthetic, test, normalise=normalise, softmax=softmax)
    if push_dir is not None:
        write_hub_folder(Path(push_dir), student, done, home)
    return done


def dream(
    run: str | Path,
    out: str | Path,
    *,
    images: int = 10_000,
    seed: int = 0,
    teacher: Classifier | str | Path | None = None,
    device: str = "auto",
    look: Callable[[str, float], None] = lambda doing, done: None,
) -> dict[str, Any]:
    """Write `images` synthetic images of `run` with its teacher's logits into the parquet file `out`, and a card beside it.

    They come from the run's bank, and where that lacks a class from its maker, as evenly by class (as the teacher sees them)
    as these allow. teacher: by default as the run's config names it. look: is told what is being done and how much of it is,
    in 0..1. Returns what came of it, ready for JSON.
    Raises AkdError where the run cannot give so many.
    """
    from akd.delivery.dream import card_file, dream_card, dreamt
    from akd.evaluation.writers import write_parquet

    folder, file, runtime = RunFolder(Path(run)), Path(out), make_runtime(device, "fp32")
    if file.suffix != ".parquet":  # by which it is known to `akd evaluate` and on the hub
        raise ConfigError(f"--out {file} must end in .parquet; try --out {file / 'set.parquet'}")
    card = card_file(file)
    network = teacher_of(folder, str(teacher) if isinstance(teacher, Path) else teacher)
    found = dreamt(folder.path, network, images, seed, runtime, look)
    write_parquet(file, found.images, found.labels, found.logits, found.names)
    write_text(card, dream_card(file.name, found, folder, network, environment(runtime)))
    sources = {"bank": found.from_bank, "maker": images - found.from_bank}
    where = {"out": str(file), "card": str(card), "bytes": file.stat().st_size}
    return {**where, "images": images, "seed": seed, "sources": sources, "classes": found.counts()}


def _samples(data: str | Path, card: ModelCard) -> Samples:
    from akd.delivery.export import Samples
    from akd.evaluation.data import load_test_set

    test = load_test_set(str(data), card)
    return Samples(test.images, test.name, test.labels)
