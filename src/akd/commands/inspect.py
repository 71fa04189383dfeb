"""akd inspect."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from akd.console import out, working
from akd.errors import Refused
from akd.options import model_options, told

if TYPE_CHECKING:
    from akd.inspection import BatchNorms, Inspection

SUMMARY = "look a teacher over before distilling: is it whole, what fits it, what will it cost"
EXAMPLES = """\
akd inspect runs/quickstart/teacher
akd inspect teacher.pth --arch resnet34 --num-classes 100 \\
    --mean .507,.487,.441 --std .267,.256,.276"""
MARKS = {"ok": "green", "?": "yellow", "NO": "bold red"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("teacher", help="as for `akd distill --teacher`")
    model_options(parser)
    parser.add_argument("--device", default="auto", help="where to time the steps: auto, cpu, cuda, cuda:1")
    parser.add_argument("--threads", type=int, help="CPU threads")


def call(options: argparse.Namespace) -> dict[str, Any]:
    from akd.inspection import inspect_teacher
    from akd.networks.models import load_model
    from akd.runtime import threads

    with threads(options.threads), working("loading") as tell:
        teacher = load_model(options.teacher, finite=False, **told(options))
        found = inspect_teacher(teacher, options.device, lambda doing: tell(doing, None))
    command = distill_command(options, found)
    result = {"teacher": options.teacher, "distillable": not found.refusals, **asdict(found), "command": command}
    if not options.json:
        show(options.teacher, found, command)
    if found.refusals:
        raise Refused(f"{options.teacher} cannot be distilled as told: {found.refusals[0]}", result)
    return result


def distill_command(options: argparse.Namespace, found: Inspection) -> str | None:
    """The command line to begin with, one option a line; None where there is nothing to begin with."""
    if found.advice is None or found.refusals:
        return None
    parts = ["akd distill", f"--teacher {shlex.quote(options.teacher)}"]
    given = {**told(options), "label_names": options.labels}
    for name, value in given.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            parts.append(f"--{'labels' if name == 'label_names' else name.replace('_', '-')} {shlex.quote(text)}")
    advice = found.advice
    parts += [
        advice.method_options,
        f"--budget {advice.budget} --steps {advice.steps}",
        "--out runs/first",
    ]
    return wrapped(parts)


def wrapped(parts: list[str], width: int = 76) -> str:
    """A shell command in as few lines as keep to `width` where the parts do."""
    lines = parts[:1]
    for part in parts[1:]:
        if len(part) > width:  # a long path: on a line of its own
            part = part.replace(" ", " \\\n    ", 1)
        if len(lines[-1]) + len(part) < width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"  {part}")
    return " \\\n".join(lines)


def show(source: str, found: Inspection, command: str | None) -> None:
    from akd.tables import table_of

    table = table_of(source, "", "", "", left=3)
    for mark, what, finding in (*facts(found), *checks(found), *advised(found)):
        table.add_row(Text(mark, MARKS.get(mark, "")), what, Text(finding))
    out.print(table)
    for warning in found.warnings:
        out.print(Text(f"\n? {warning}", "yellow"), soft_wrap=False)
    if command:
        out.print(f"\n{command}", markup=False)


Row = tuple[str, str, str]


def facts(found: Inspection) -> Iterator[Row]:
    card = found.card
    yield "", "network", f"{card.architecture}: {found.params:,} parameters, {found.macs:,} multiply-adds an image"
    names = "" if card.label_names else " without names"
    yield "", "images", f"{'×'.join(map(str, card.input_size))}, {card.num_classes} classes{names}"
    yield "", "told", f"mean {numbers(card.mean)}, std {numbers(card.std)}"


def checks(found: Inspection) -> Iterator[Row]:
    broken, answers, normal = found.broken_weights, found.answers, found.normalisation
    bad = f"NaN or infinity in {many(len(broken), 'tensor')}"
    yield ("NO", "weights", bad) if broken else ("ok", "weights", "all are numbers")
    seen = f"{answers.classes} of {found.card.num_classes} classes on {answers.images} formula pictures and noises"
    mark = "NO" if answers.trouble else "?" if answers.classes == 1 else "ok"
    yield mark, "answers", answers.trouble or f"{seen}; a gradient reaches the image"
    yield batch_norms(found.batch_norms)
    marks = {"fits": "ok", "doubtful": "?", "impossible": "NO", "unknown": ""}
    text = {"fits": "can be right", "unknown": "cannot be checked"}.get(normal.verdict, normal.verdict)
    others = f"; so can {', or '.join(normal.would_fit)}" if normal.verdict == "fits" and normal.would_fit else ""
    yield marks[normal.verdict], "normalisation", f"{text}: {normal.why}{others}"


def batch_norms(norms: BatchNorms) -> Row:
    if not norms.layers:
        return "", "BatchNorm", "none that keeps statistics"
    text = f"{many(norms.layers, 'layer')}, {norms.first} to {norms.last}; {norms.constant} of {norms.channels:,} channels dead"
    named = {"never trained": norms.never_trained, "broken": norms.broken, "without statistics": norms.forgetful}
    for what, names in named.items():
        text += f"; {many(len(names), 'layer')} {what}" if names else ""
    doubt = norms.never_trained or norms.forgetful or norms.mostly_dead
    return "NO" if norms.broken else "?" if doubt else "ok", "BatchNorm", text


def advised(found: Inspection) -> Iterator[Row]:
    yield "", "methods", ", ".join(name for name, reason in found.methods.items() if not reason) or "none"
    for reason in dict.fromkeys(reason for reason in found.methods.values() if reason):
        yield "", "", f"not {', '.join(name for name, why in found.methods.items() if why == reason)}: {reason}"
    if (advice := found.advice) and not found.refusals:
        student = f"{advice.student.architecture} {advice.student.width}, {advice.student.params:,} parameters"
        yield "", "begin with", f"{advice.method_options}: {advice.method_why}"
        yield "", "", f"--budget {advice.budget}: {student}; {advice.budget_why}"
        yield "", "", f"--steps {advice.steps}: {advice.steps_why}; or say --time"
        if cost := found.cost:
            seconds = cost.seconds_per_step
            yield "", "will take", f"{duration(seconds * advice.steps)} at {seconds:.2g} s a student step; {measured(found)}"
            more = f", scaled up from {cost.batch} images" if cost.batch < cost.method_batch else ""
            yield "", "memory", f"about {cost.peak_bytes / 1e9:.1f} GB at the peak{more}"


def measured(found: Inspection) -> str:
    """How the cost was found, with its conditions."""
    assert found.cost
    cost, on = found.cost, found.conditions
    how = f"measured over {many(cost.steps, 'step')} of {cost.batch} images"
    if cost.batch < cost.method_batch:
        how += f" and scaled to {cost.method_batch}, which would have taken too long to try"
    return f"{how}, {on['device']}, {on['precision']}, {many(on['threads'], 'thread')}, torch {on['torch']}"


def many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
