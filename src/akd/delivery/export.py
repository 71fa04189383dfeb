"""A student in the formats that other runtimes take, each read back by its own runtime and held against the student."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from akd.delivery.formats import FORMATS, Answer, Format, Graph, quiet
from akd.errors import AkdError, brief
from akd.files import place, staging, write_json
from akd.networks.classifier import Classifier
from akd.networks.measure import median_ms
from akd.runfolder import environment
from akd.runtime import make_runtime

CALIBRATION, COMPARED = 256, 512
BATCH = 256
# Of the largest number that the student says. Another order of float32 additions moves answers by 7e-7 of it (resnet56 in ONNX
# Runtime), one wrong constant by far more (BatchNorm's epsilon 1e-3 for 1e-5: 0.3 of it).
TOLERANCE = 1e-4
# Percent, for 8 bit. Sound files agreed on 91 to 100 here, least with 100 classes on formula pictures, which crowd along the
# borders between classes (resnet56: 91.0 on them, 96.3 on real images); broken ones are near chance.
AGREEMENT = 80.0


@dataclass(frozen=True)
class Samples:
    """Images uint8 [N, C, H, W] to compare on, what they are, and labels int64 [N] where there are true ones."""

    images: Tensor
    name: str
    labels: Tensor | None = None


@dataclass(frozen=True)
class Match:
    """How a file's answers compare with the student's: largest absolute difference, and how often both say the same class, in
    percent; `accuracy` in percent where there are labels."""

    difference: float
    agreement: float
    accuracy: float | None


@dataclass(frozen=True)
class Exported:
    """One file (the student itself: no file), compared on each kind of images. `problem` is '' where it agrees."""

    format: str
    file: str | None
    bytes: int | None
    latency_ms: float | None
    matches: Mapping[str, Match]
    problem: str = ""


@dataclass(frozen=True)
class Images:
    """How many images, and where they are from."""

    count: int
    source: str

    def __str__(self) -> str:
        return f"{self.count:,} images of {self.source}"


@dataclass(frozen=True)
class Export:
    """What an export left in `out`, the student first; ready for JSON by `asdict`.

    compared: the images by kind, "synthetic" and where given "test"; calibrated_on: those that gave int8 its scales;
    says: "logits" or "probabilities", which each `difference` is of.
    """

    out: str
    rows: list[Exported]
    compared: dict[str, Images]
    calibrated_on: Images | None
    normalise: bool
    says: str
    conditions: dict[str, Any]


class Disagreement(AkdError):
    """A file that does not say what the student says; it was not kept. `export` tells how the others did."""

    def __init__(self, message: str, export: Export):
        super().__init__(message)
        self.export = export


def export_model(
    student: Classifier,
    out: Path,
    formats: Sequence[str],
    synthetic: Samples,
    test: Samples | None = None,
    *,
    normalise: bool = True,
    softmax: bool = False,
) -> Export:
    """Write `student` into the folder `out` in these `formats`, and what came of it into `export.json`.

    synthetic: CALIBRATION + COMPARED images, the first for the scales of int8, the rest to compare on. Raises Disagreement
    where a file cannot be made or does not say what the student says: it is not left there, the others are.
    """
    graph = Graph(copy.deepcopy(student).cpu().float().freeze(), normalise, softmax)
    calibration = synthetic.images[:CALIBRATION].float() / 255
    samples = {"synthetic": Samples(synthetic.images[CALIBRATION:], synthetic.name)} | ({"test": test} if test else {})
    expected = {kind: _answers(graph, graph, sample.images) for kind, sample in samples.items()}

    def row(name: str, answer: Answer, size: int | None = None) -> Exported:
        found = {kind: _match(_answers(answer, graph, s.images), expected[kind], s.labels) for kind, s in samples.items()}
        one = graph.wanted(samples["synthetic"].images[:1].float() / 255)
        latency = median_ms(lambda: answer(one))
        if size is None:
            return Exported(name, None, None, latency, found)
        problems = [_problem(FORMATS[name], kind, found[kind], expected[kind]) for kind in found]
        return Exported(name, FORMATS[name].files[0], size, latency, found, next(filter(None, problems), ""))

    with torch.no_grad(), staging(out) as stage:
        rows = [row("student", graph)]
        for name in formats:
            kind = FORMATS[name]
            try:
                with quiet():
                    kind.write(graph, stage, calibration)
                    answer = kind.read(graph, stage / kind.files[0])
                rows.append(row(name, answer, sum((stage / file).stat().st_size for file in kind.files)))
            except Exception as error:  # whatever an exporter or a runtime does with a user's own network
                rows.append(Exported(name, None, None, None, {}, f"cannot be made ({brief(error)})"))
        for made in rows[1:]:
            for file in FORMATS[made.format].files:
                if made.problem:
                    (out / file).unlink(missing_ok=True)  # an earlier export's would be taken for this one's
                else:
                    place(stage / file, out / file)
    export = Export(
        out=str(out),
        rows=rows,
        compared={kind: Images(len(sample.images), sample.name) for kind, sample in samples.items()},
        calibrated_on=Images(len(calibration), synthetic.name) if "int8" in formats else None,
        normalise=normalise,
        says=graph.says,
        conditions=_conditions(formats),
    )
    write_json(out / "export.json", asdict(export))
    if bad := [made for made in rows if made.problem]:
        others = ",".join(made.format for made in rows[1:] if not made.problem)
        remedy = f"--format {others} leaves it out" if others else "the model folder itself is sound"
        raise Disagreement(f"{bad[0].format}: {bad[0].problem}; it was not kept, and {remedy}", export)
    return export


def _answers(answer: Answer, graph: Graph, images: Tensor) -> Tensor:
    """What `answer` says of images uint8 [N, C, H, W]: [N, K]."""
    with torch.no_grad():
        return torch.cat([answer(graph.wanted(batch.float() / 255)) for batch in images.split(BATCH)])


def _match(said: Tensor, expected: Tensor, labels: Tensor | None) -> Match:
    choice = said.argmax(1)
    return Match(
        difference=(said - expected).abs().max().item(),
        agreement=100 * (choice == expected.argmax(1)).double().mean().item(),
        accuracy=None if labels is None else 100 * (choice == labels).double().mean().item(),
    )


def _problem(kind: Format, images: str, match: Match, expected: Tensor) -> str:
    """Why a file does not pass for the student; '' where it does."""
    allowed = TOLERANCE * max(1.0, expected.abs().max().item())
    if kind.exact and not match.difference <= allowed:  # NaN is no agreement
        return f"its answers differ by up to {match.difference:.2g} from the student's, and {allowed:.1g} is rounding"
    if match.agreement < AGREEMENT:
        return f"it agrees with the student on {match.agreement:.1f} % of the {images} images, and {AGREEMENT:.0f} % is asked"
    return ""


def _conditions(formats: Sequence[str]) -> dict[str, Any]:
    conditions = environment(make_runtime("cpu", "fp32"))
    if {"onnx", "int8"} & set(formats):
        import onnxruntime

        conditions["onnxruntime"] = onnxruntime.__version__
    return conditions
