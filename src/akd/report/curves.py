"""Which curves a report draws: learning over steps and seconds, layers, classes, confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from akd.report.charts import Axis, Series, axis, plot
from akd.report.record import losses_of

MEANINGS = {
    "student": "what the student minimises",
    "imitate": "KL of the student from the teacher’s softened answers",
    "discrepancy": "L1 between the logits of student and teacher",
    "attention": "distance of the attention maps",
    "soft": "KL of the student from the teacher’s answers, by a second temperature",
    "turned": "whether the student tells by how much an image was turned",
    "image/discrepancy": "L1 between the logits, which the images seek",
    "image/divergence": "KL of the student from the teacher, which the images seek",
    "image/activation_map": "whether the student sees the teacher’s class where the teacher sees it",
    "image/contrast": "whether an image is known again among others",
    "image/apart": "how unlike the classes of the generators are",
    "image/bn": "distance of the images from the teacher’s BatchNorm statistics",
    "image/one_hot": "cross-entropy of the teacher’s answer: low where it is sure",
    "image/balance": "negative entropy of the batch’s classes: low where all are equally many",
    "image/adversary": "disagreement of student and teacher, which the images seek",
    "image/activation": "negative activation of the teacher’s features",
    "image/variation": "roughness of the images",
    "image/competition": "low where the student is wrong",
}
STYLES = {"synthetic": 0, "real test images": 1, "formula pictures": 2}
TIMES = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True)
class Curve:
    """A chart with its words; one that is drawn over steps and over seconds has both in `charts`."""

    title: str
    meaning: str
    charts: list[Markup]


def learning(runs: list[dict[str, Any]]) -> list[Curve]:
    """Accuracy where it was measured, probe agreement, KL and every loss of these runs, each over steps and over time."""
    names = list(dict.fromkeys(name for run in runs for name in losses_of(run["metrics"])))
    losses = [name for name in names if not any(_same(run, name) for run in runs)]
    losses.sort(key=lambda name: "/" in name)  # the student's first
    lines = [run["metrics"] for run in runs]
    real = [run["measured"]["curve"] if run["measured"] else [] for run in runs]
    told = [
        _over(runs, real, "top1", "Accuracy, %", "on the test images", 0.0),
        _over(runs, real, "agreement", "Agreement with the teacher, %", "on the test images", 0.0),
        _over(runs, lines, "probe_agreement", "Probe agreement, %", "same class as the teacher, on 256 formula pictures", 0.0),
        _over(runs, lines, "probe_kl", "Probe KL, nats", "distance of the student’s answers from the teacher’s on that probe"),
        *(_over(runs, lines, name, _loss_title(name), MEANINGS.get(name, "")) for name in losses),
    ]
    return [curve for curve in told if curve]


def _same(run: dict[str, Any], name: str) -> bool:
    """A loss that is the student's whole loss has its curve already."""
    lines = [line for line in run["metrics"] if name in line]
    return name != "student" and bool(lines) and all(line[name] == line.get("student") for line in lines)


def _loss_title(name: str) -> str:
    kind, slash, term = name.partition("/")
    return f"Image loss: {term}" if slash and kind == "image" else f"Student loss{'' if name == 'student' else f': {name}'}"


def _over(
    runs: list[dict[str, Any]],
    lines: list[list[dict[str, Any]]],
    name: str,
    title: str,
    meaning: str,
    floor: float | None = None,
) -> Curve | None:
    """The curve of `name` in the `lines` of each run, which have step and seconds; None where no line has it."""
    values = [line[name] for mine in lines for line in mine if line.get(name) is not None]
    if not values:
        return None
    up, charts = axis("", values, log=True, floor=floor), []
    longest = max(line["seconds"] for mine in lines for line in mine)
    size, unit = next((size, unit) for size, unit in TIMES if longest >= 2 * size or size == 1)
    for key, scale, label, css in (("step", 1.0, "student steps", "by-steps"), ("seconds", size, unit, "by-time")):
        series = [
            Series(run["name"], [(line[key] / scale, line.get(name)) for line in mine], i)
            for i, (run, mine) in enumerate(zip(runs, lines, strict=True))
            if any(name in line for line in mine)
        ]
        across = axis(label, [a for one in series for a, _ in one.points], floor=0.0)
        charts.append(plot(series, across, up, f"{title} over {label}", css))
    return Curve(title + (" (log scale)" if up.log else ""), meaning, charts)


def by_layer(looks: dict[str, Any]) -> list[Curve]:
    """How far each set of images is from the teacher's BatchNorm statistics, layer by layer; [] without BatchNorm."""
    known = {name: look["layers"] for name, look in looks.items() if look["layers"]}
    curves = []
    for key, title in (("mean", "Mismatch of the means"), ("variance", "Mismatch of the variances")):
        series = [
            Series(name, [(i + 1.0, layer[key]) for i, layer in enumerate(layers)], STYLES[name], len(layers) < 30)
            for name, layers in known.items()
        ]
        if series:
            up = axis("", [layer[key] for layers in known.values() for layer in layers], floor=0.0)
            chart = plot(series, _whole("BatchNorm layer, input to output", len(series[0].points)), up, title)
            curves.append(Curve(title, "", [chart]))
    return curves


def by_class(looks: dict[str, Any]) -> Markup:
    """What share of each set of images the teacher puts into its classes, from the most seen class to the least."""
    series = []
    for name, look in looks.items():
        shares = sorted((100 * count / look["n"] for count in look["seen"]), reverse=True)
        series.append(Series(name, [(i + 1.0, share) for i, share in enumerate(shares)], STYLES[name], len(shares) < 30))
    up = axis("", [share or 0.0 for one in series for _, share in one.points], floor=0.0)
    return plot(series, _whole("classes, most seen first", len(series[0].points)), up, "Share of the images by class, %")


def reliability(calibration: dict[str, Sequence[dict[str, float]]]) -> Markup:
    """How often each network is right, by how sure it is; on the diagonal its confidence can be taken at its word."""
    most = max(one["images"] for bins in calibration.values() for one in bins)
    percent = Axis("confidence, %", 0.0, 100.0, [0.0, 25.0, 50.0, 75.0, 100.0])
    series = [Series("ideal", [(0.0, 0.0), (100.0, 100.0)], 9)]
    for style, (who, bins) in enumerate(calibration.items()):
        points = [(one["confidence"], one["accuracy"]) for one in bins]
        series.append(Series(who, points, style, weights=[one["images"] / most for one in bins]))
    return plot(series, percent, Axis("", 0.0, 100.0, percent.ticks), "Accuracy by confidence, %")


def _whole(label: str, count: int) -> Axis:
    """An axis of 1 .. count whose ticks are whole numbers."""
    full = axis(label, [1.0, max(2.0, float(count))])
    return Axis(label, 1.0, max(2.0, float(count)), [t for t in full.ticks if t == int(t) and 1 <= t <= count] or [1.0])
