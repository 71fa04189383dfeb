"""What a reader should know first: each finding says what was seen, by which threshold, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

FEW_REPORTS = 4  # fewer say nothing of a direction
RISING = 5.0  # points of agreement on the probe gained over the second half of a run
LITTLE = 50.0  # percent of agreement on the probe
TENTH = 10  # reports needed before the last tenth of a run says anything
STILL_FALLING = 0.1  # share by which the probe's KL falls from one tenth of a run to the next
LONGER = "give it more --steps or --time before you judge what follows."
CLASS_LOST = 10.0  # points of accuracy that one class may lose
NARROW = 0.5  # of what two real images of a class differ
FALSE_CONFIDENCE = 5.0  # points of calibration error beyond the teacher's


@dataclass(frozen=True)
class Finding:
    """`level`: good, note, warn or bad."""

    level: str
    title: str
    text: str


def findings(run: dict[str, Any]) -> list[Finding]:
    """What is to be said about a run as `gather` gives it, worst first."""
    looked: tuple[Callable[[dict[str, Any]], Finding | None], ...] = (
        _early, _status, _record, _labels, _collapse, _generator, _narrow, _lost_class, _calibration, _still_learning,
    )  # fmt: skip
    found = [finding for look in looked if (finding := look(run))]
    return sorted(found, key=lambda finding: ("bad", "warn", "note", "good").index(finding.level))


def _early(run: dict[str, Any]) -> Finding | None:
    """Whether the student has learned enough for the rest of the page to mean something."""
    seen = [line["probe_agreement"] for line in run["metrics"] if line.get("probe_agreement") is not None]
    if run["status"] != "finished" or not seen:
        return None
    text = f"After {run['metrics'][-1]['step']:,} steps it agrees with the teacher on {seen[-1]:.0f} % of the probe"
    halfway = seen[(len(seen) - 1) // 2]
    if len(seen) < FEW_REPORTS:
        return Finding("warn", "Too early to judge", f"{text}. So short a run tells nothing of method or budget: {LONGER}")
    if seen[-1] >= halfway + RISING:
        return Finding("warn", "Too early to judge", f"{text}, half-way on {halfway:.0f} %: it is still rising; {LONGER}")
    measured = run["measured"] and run["measured"]["agreement"]
    if measured is not None:  # which says more than the probe's height
        seen, text = [measured], f"It agrees with the teacher on {measured:.0f} % of the test images"
    if seen[-1] < LITTLE:
        remedy = "A longer run is the first to try, then another method or a larger budget."
        return Finding("warn", "The student hardly follows its teacher", f"{text}; under {LITTLE:.0f} % is told. {remedy}")
    return None


def _status(run: dict[str, Any]) -> Finding | None:
    done = f"{100 * run['metrics'][-1]['progress']:.0f} % of its budget" if run["metrics"] else "not one report yet"
    if run["status"] == "unfinished":
        text = f"It has spent {done}. What follows is how it stands; the same akd distill command goes on with it."
        return Finding("note", "Not finished", text)
    if run["status"] == "diverged":
        text = f"{_sentence(run['diverged']['reason'])} It ended after {done}, and nothing was handed over. "
        return Finding("bad", "The run went wrong", text + "The last good student is what is measured here.")
    if warning := run["result"].get("warning"):
        return Finding("bad", "The run ended with a warning", _sentence(warning))
    return None


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _record(run: dict[str, Any]) -> Finding:
    record = run["data_free"]
    verdict = record.get("data_free")
    if not record:
        return Finding("note", "No data-free record yet", "data_free.json is written with the first checkpoint.")
    if verdict is True:
        return Finding("good", "Distilled without data", "Nothing but the teacher’s files was read while distilling.")
    if verdict is None:
        text = "A module that reads data sets, or an open file, was in the process before the run began, as in a notebook. "
        return Finding("note", "The record cannot tell whether data was read", text + "akd distill in a shell leaves no doubt.")
    text = "Something other than the teacher was opened, started or connected to. Its name is under “Data-free record”."
    return Finding("bad", "Files that want a look", text)


def _labels(run: dict[str, Any]) -> Finding | None:
    if not (doubt := run["measured"] and run["measured"]["doubt"]):
        return None
    return Finding("warn", "Is it the model’s test set?", f"Of {run['measured']['data']}, {doubt}.")


def _collapse(run: dict[str, Any]) -> Finding | None:
    if not (synthetic := run["synthetic"]) or not run["metrics"]:  # nothing was sought yet
        return None
    if reasons := synthetic["collapse"]:
        remedy = "A higher method.balance or method.adversary, where the method has them, spreads the images."
        return Finding("warn", "Mode collapse", f"{_sentence('; '.join(reasons))} {remedy}")
    seen = synthetic["looks"]["synthetic"]
    text = f"The teacher sees an effective {seen['classes']:.1f} of {len(seen['seen'])} classes in the images"
    return Finding("good", "No mode collapse", f"{text}, and {seen['copies']:.1f} % of them have a copy.")


def _generator(run: dict[str, Any]) -> Finding | None:
    """Whether images were sought with any profit: formulas come free, so they are the bar."""
    if not run["synthetic"] or not run["metrics"] or not (mine := depth_mean(run["synthetic"]["looks"]["synthetic"])):
        return None
    formulas = depth_mean(run["synthetic"]["looks"]["formula pictures"])
    if formulas is None or mine < formulas:
        return None
    text = f"Their mean BatchNorm mismatch is {mine:.2f}, that of formula pictures {formulas:.2f}, and those cost nothing. "
    text += "A longer run is the first to try, or a method that holds images to BatchNorm statistics."
    return Finding("warn", "The images are no nearer to the teacher’s data than formulas", text)


def depth_mean(look: dict[str, Any]) -> float | None:
    """Mean of the layers' mismatch of the mean; None for a teacher without BatchNorm."""
    return fmean(layer["mean"] for layer in look["layers"]) if look["layers"] else None


def _lost_class(run: dict[str, Any]) -> Finding | None:
    if not (rows := lost_classes(run)):
        return None
    worst, bad = rows[0], sum(row["lost"] > CLASS_LOST for row in rows)
    text = (
        f"The most is {worst['lost']:.1f} points, of “{worst['name']}”; one test image is {100 / worst['images']:.1f} points."
    )
    if not bad:
        return Finding("good", f"No class lost more than {CLASS_LOST:.0f} points", text)
    title = f"{bad} of {len(rows)} classes lost more than {CLASS_LOST:.0f} points"
    return Finding("warn", title, f"{text} A longer run or a larger budget is the first to try.")


def lost_classes(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The classes of which it is known what was lost against the teacher, most first."""
    rows = run["measured"]["details"]["classes"] if run["measured"] else []
    return sorted((row for row in rows if row["lost"] is not None), key=lambda row: -row["lost"])


def _narrow(run: dict[str, Any]) -> Finding | None:
    """Whether images of one class are alike, which only real ones can tell."""
    looks = run["synthetic"]["looks"] if run["synthetic"] else {}
    if "real test images" not in looks:
        return None
    mine, real = looks["synthetic"]["within"], looks["real test images"]["within"]
    if mine is None or real is None or mine >= NARROW * real:
        return None
    text = f"Two of one class differ by {mine:.0f} % of a pixel’s range, real ones by {real:.0f} %; under half is told. "
    return Finding("note", "The images of a class are much alike", text + "The student has met only a part of each class.")


def _calibration(run: dict[str, Any]) -> Finding | None:
    measured = run["measured"]
    ece = measured["details"]["ece"] if measured else {}
    if "teacher" not in ece or measured["top1"] < LITTLE or ece["student"] <= ece["teacher"] + FALSE_CONFIDENCE:
        return None
    bins = measured["details"]["calibration"]["student"]
    sure = sum(one["images"] * one["confidence"] for one in bins) / measured["n"]
    way = "less sure than it is right" if sure < measured["top1"] else "surer than it is right"
    text = (
        f"It is {way}: {sure:.0f} % sure on average, right on {measured['top1']:.1f} %; "
        f"its calibration error is {ece['student']:.1f} %, the teacher’s {ece['teacher']:.1f} %. "
        "Scale its logits by a temperature before you act on its confidence."
    )
    return Finding("note" if sure < measured["top1"] else "warn", "The student’s confidence misleads", text)


def _still_learning(run: dict[str, Any]) -> Finding | None:
    kls = [line["probe_kl"] for line in run["metrics"] if line.get("probe_kl") is not None]
    if run["status"] != "finished" or len(kls) < 2 * TENTH or _early(run):
        return None
    part = len(kls) // TENTH
    before, last = fmean(kls[-2 * part : -part]), fmean(kls[-part:])
    if before <= 0 or 1 - last / before < STILL_FALLING:
        return None
    text = f"KL on the probe fell by {100 * (1 - last / before):.0f} % over the last tenth. A longer run may go further."
    return Finding("note", "Still learning at the end", text)
